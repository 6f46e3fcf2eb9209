"""Fuzz target for the upper layer: whatever a peer sends, in whatever pieces, a driver survives it.

For: long runs by hand, ``python -m tests.fuzz.fuzz_upper_layer --seconds 600``; with atheris installed,
``python -m tests.fuzz.fuzz_upper_layer --atheris [CORPUS...]``. A short run is part of the suite. Not for: what a
service makes of a data set.

The property: `bytes_received` never raises; the peer's breaches end in `ProtocolFailure` and one A-ABORT; what is
handed out is never more than what came in; every command can be looked at and answered; every request can be
negotiated and the answer sent, unless the peer has ended the association by then.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pacs.upper_layer.associate import AssociateReject
from pacs.upper_layer.associate_codec import encode_associate_accept, encode_associate_request
from pacs.upper_layer.command_elements import ELEMENTS
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import CommandField, response, store_request, store_response
from pacs.upper_layer.errors import AssociationOver, CommandError
from pacs.upper_layer.events import (
    AssociateRequested,
    CommandReceived,
    DataFragment,
    Event,
    ProtocolFailure,
    ReleaseRequested,
)
from pacs.upper_layer.fsm import State
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import negotiate
from pacs.upper_layer.pdu import (
    PduType,
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
    with_header,
)
from tests.unit.upper_layer import golden
from tests.unit.upper_layer.pairs import CT_IMAGE_STORAGE, INSTANCE_UID, a_request, accepted, an_offer
from tests.unit.upper_layer.test_pdata import ECHO, LAWFUL, STORE, pdu, pdv

LIMITS = UpperLayerLimits(associate_pdu_bytes_max=8_192, command_set_bytes_max=512, receive_buffer_bytes=8_200)

STREAM_PARTS: tuple[bytes, ...] = (
    with_header(PduType.ASSOCIATE_RQ, encode_associate_request(a_request())),
    with_header(PduType.ASSOCIATE_AC, encode_associate_accept(accepted(a_request()))),
    golden.ASSOCIATE_RQ,
    golden.ASSOCIATE_AC,
    encode_associate_reject(AssociateReject(result=1, source=1, reason=1)),
    *LAWFUL.values(),
    pdu(pdv(3, 3, ECHO)),
    pdu(pdv(1, 3, store_response(1, CT_IMAGE_STORAGE, INSTANCE_UID, 0))),
    pdu(pdv(1, 3, STORE), pdv(1, 2, bytes(2_000))),
    pdu(pdv(1, 1, STORE[:40]), pdv(1, 3, STORE[40:])),
    pdu(pdv(1, 3, store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID, move_originator_aet="MOVER"))),
    encode_release_request(),
    encode_release_response(),
    encode_abort(0, 0),
)


@dataclass
class Driver:
    """What a driver does with the events, and what must hold meanwhile."""

    ul: UpperLayer
    has_asked_for_release: bool
    fed: int = 0
    handed_out: int = 0
    failures: int = 0

    def feed(self, data: bytes) -> None:
        """Deliver bytes that fit the receive buffer."""
        while data:
            buffer = self.ul.receive_buffer()
            assert len(buffer) > 0
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            data = data[count:]
            self.fed += count
            was_closed = self.ul.closed
            events = self.ul.bytes_received(count)
            assert not (was_closed and events)
            for event in events:
                self.take(event)
            sent = self.ul.bytes_to_send()
            assert len(sent) <= 10 + self.fed

    def take(self, event: Event) -> None:
        """React as a driver would."""
        with suppress(AssociationOver):
            self.react(event)

    def react(self, event: Event) -> None:
        """Take an event in; it may come late, when the peer has already ended the association."""
        match event:
            case DataFragment():
                self.handed_out += len(event.data)
                assert self.handed_out <= self.fed
            case CommandReceived():
                self.look_at(event)
            case AssociateRequested():
                answer = negotiate(event.request, an_offer())
                if isinstance(answer, AssociateReject):
                    self.ul.associate_reject(answer)
                else:
                    self.ul.associate_accept(answer)
            case ReleaseRequested() if not event.collision:
                self.ul.release_response()
            case ProtocolFailure():
                self.failures += 1
                assert self.failures == 1

    def look_at(self, event: CommandReceived) -> None:
        """Read every element; answer if an answer is due and can still be sent."""
        command = event.command
        assert sum(map(len, command.elements.values())) <= LIMITS.command_set_bytes_max
        for keyword in ELEMENTS.keys() - {"command_group_length"}:
            with suppress(CommandError):
                getattr(command, keyword)
        if command.is_response or command.command_field == CommandField.C_CANCEL_RQ:
            return
        answer = response(command, command.error.status if command.error else 0)
        if not self.has_asked_for_release:
            self.ul.pdata_command(event.context_id, answer)


def an_engine(kind: int) -> UpperLayer:
    """Return an engine in one of four situations."""
    if kind == 0:
        return UpperLayer(Role.ACCEPTOR, LIMITS)
    ul = UpperLayer(Role.REQUESTOR, LIMITS)
    ul.associate_request(a_request())
    if kind == 1:
        return ul
    Driver(ul, has_asked_for_release=False).feed(STREAM_PARTS[1])
    if kind == 2:
        ul.release_request()
    return ul


def one_input(data: bytes) -> None:
    """Run one input: a byte for the situation, a byte for the size of the pieces, then what the peer sends."""
    if len(data) < 2:
        return
    kind = data[0] % 4
    driver = Driver(an_engine(kind), has_asked_for_release=kind == 2)
    piece = data[1] or len(data)
    stream = data[2:]
    for start in range(0, len(stream), piece):
        driver.feed(stream[start : start + piece])
    if not driver.ul.closed:
        driver.ul.connection_closed()
    assert driver.ul.state is State.IDLE


def mutated(rng: random.Random) -> bytes:
    """Make an input: lawful parts in any order, then flipped, cut, repeated and stretched."""
    stream = bytearray(b"".join(rng.choices(STREAM_PARTS, k=rng.randint(1, 6))))
    changes: list[Callable[[int], None]] = [
        lambda place: stream.__setitem__(place, rng.randrange(256)),
        lambda place: stream.__setitem__(place, rng.choice((0, 1, 2, 3, 0x7F, 0xFF))),
        lambda place: stream.__delitem__(slice(place, place + rng.randint(1, 20))),
        lambda place: stream.__setitem__(slice(place, place), rng.randbytes(rng.randint(1, 20))),
        lambda place: stream.__setitem__(slice(place, place), stream[place : place + rng.randint(1, 200)]),
    ]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        if stream:
            rng.choice(changes)(rng.randrange(len(stream)))
    return bytes((rng.randrange(4), rng.choice((0, 0, 1, 7, 100)))) + bytes(stream)


def run_seed(seed: int) -> None:
    """Run the input that belongs to a seed; the seed is what reproduces a finding."""
    one_input(mutated(random.Random(seed)))


def main(arguments: list[str]) -> int:
    """Run seeds for a while, or hand over to atheris."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="let atheris choose the inputs; the rest goes to it")
    options, rest = parser.parse_known_args(arguments)
    if options.atheris:
        import atheris  # not a dependency: only for runs by hand

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *rest], one_input)
        atheris.Fuzz()
        return 0
    deadline_s = time.monotonic() + options.seconds
    seed = options.first_seed
    while time.monotonic() < deadline_s:
        try:
            run_seed(seed)
        except Exception:
            sys.stderr.write(f"seed {seed} fails\n")
            raise
        seed += 1
    sys.stdout.write(f"{seed - options.first_seed} inputs, none fails\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
