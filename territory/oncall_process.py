"""The on-call engine as a process of its own beside the DICOM workers.

For: when it runs (a directory and a roster are published, or the settings say so), and what it is made of. Not for:
deciding anything about cases, or keeping processes (`territory.process_keeper`).

Invariant: nothing that happens in the engine's process reaches ingest: it has no socket, no pack and no lock of theirs
but the database's writer lock, which it holds for one commit.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Final

import oncall.schema  # noqa: F401  # adds its tables to those that a node creates
from foundation.clock import Clock
from foundation.database import Database
from territory import kept_process
from territory.launch import Launch
from territory.process_keeper import ProcessKeeper
from territory.settings import OncallMode, Settings

SECRET_FILE: Final = "oncall_secret"  # noqa: S105  # the name of the file
"""In the data directory: what answer links are made with; made at the first start, readable by the service only."""

SIGNING_KEYS: Final = "oncall_keys"
"""In the data directory: the keys of people and of the node; made when first needed, readable by the service only."""


def oncall_keeper(settings: Settings, database: Database, *, clock: Clock | None = None) -> ProcessKeeper:
    """Return what keeps the engine's process running for as long as there is something for it to do.

    Parameters
    ----------
    settings : Settings
        ``oncall.mode`` says whether it runs always, never, or once a directory and a roster are published.
    database : Database
        Asked whether they are.
    """

    def is_wanted() -> bool:
        # Imported here: a node without on-call work never loads it.
        from oncall.engine.published_rules import is_published

        mode = settings.oncall.mode
        return mode is OncallMode.ON or (mode is OncallMode.AUTO and is_published(database))

    return ProcessKeeper("oncall", "territory.oncall_process", settings, is_wanted=is_wanted, clock=clock)


def answer_secret(data_dir: Path) -> bytes:
    """Return the secret of answer links; made once, by whoever is first."""
    path = data_dir / SECRET_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(32)
        file.write(secret)
    return secret


def main() -> int:
    """Run the engine until told to stop, or until nobody is left who could."""
    return kept_process.run("oncall", _make)


def _make(launch: Launch, worker: str) -> kept_process.Parts:
    from territory.oncall_parts import OncallParts

    return OncallParts(launch.settings, worker=worker)


if __name__ == "__main__":
    sys.exit(main())
