"""What a supervisor tells a worker at its start, and the pipe that tells the worker when its supervisor is dead.

The launch passes through the worker's standard input, secrets included: arguments and environment of a process can be
read by others. Afterwards nothing more is written, and the end of the stream means that no supervisor is left.
"""

import os
import pickle
from dataclasses import dataclass
from typing import IO, Final

from territory.listening import ListeningPort
from territory.settings import Settings

# Long enough for a CT image over a slow line; a peer that needs longer sends it again.
STOP_GRACE_S: Final = 20.0
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What a worker is told at its start; descriptors are inherited under the same numbers."""

    settings: Settings
    worker: int
    table_descriptor: int
    ports: tuple[ListeningPort, ...]


class SupervisorGone(Exception):
    """Standard input ended before the launch was complete."""


def write_launch(stream: IO[bytes], launch: Launch) -> None:
    """Send the launch; the stream stays open, because its end means that the supervisor is dead."""
    pickled = pickle.dumps(launch)
    stream.write(len(pickled).to_bytes(_LENGTH_BYTES, "big") + pickled)
    stream.flush()


def read_launch(descriptor: int) -> Launch:
    """Receive the launch.

    Raises
    ------
    SupervisorGone
        If the stream ends early.
    """
    length_bytes = int.from_bytes(_read_exactly(descriptor, _LENGTH_BYTES), "big")
    launch = pickle.loads(_read_exactly(descriptor, length_bytes))  # noqa: S301  # our own parent wrote it
    assert isinstance(launch, Launch)
    return launch


def _read_exactly(descriptor: int, length_bytes: int) -> bytes:
    received = b""
    while len(received) < length_bytes:
        more = os.read(descriptor, length_bytes - len(received))
        if not more:
            raise SupervisorGone
        received += more
    return received
