"""The sender on real sockets: with the server of the library hl7, and with systems that answer wrongly or never."""

import asyncio
import queue as queues
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import hl7
import hl7.mllp
import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.worklist.hl7 import outgoing
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.exchange import NotAnswered, NotSent, exchange
from pacs.worklist.hl7.outgoing import OutgoingState
from pacs.worklist.hl7.sender import Sender
from tests.harness.hl7_messages import LOOPBACK, NOON, message
from tests.harness.mllp_peers import Script, acknowledgement, system
from tests.harness.peers import free_port, wait_until


def destination(port: int, *, name: str = "ris", answer_s: float = 10.0) -> Destination:
    return Destination(name=name, site_id="north", host=LOOPBACK, port=port, answer_s=answer_s)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    yield database
    database.close()


def put(database: Database, *control_ids: str, name: str = "ris") -> None:
    with database.write(durable=True) as connection:
        for one in control_ids:
            outgoing.enqueue(connection, name, message(one), control_id=one, message_type="ORM^O01", now=NOON)


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        found = outgoing.listed(connection, frozenset(OutgoingState))
    return {one.control_id: f"{one.state}:{one.reason}" for one in found}


def sender(database: Database, *destinations: Destination, clock: ManualClock | None = None) -> Sender:
    return Sender(database, {one.name: one for one in destinations}, clock or ManualClock(NOON), worker="node-1")


def test_the_server_of_another_library_takes_what_is_sent_and_its_answer_settles_it(queue: Database) -> None:
    taken: list[str] = []
    taken_by: queues.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queues.Queue()

    async def take(reader: Any, writer: Any) -> None:
        received = await reader.readmessage()
        taken.append(str(received.segment("MSH")[10]))
        writer.writemessage(received.create_ack())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def serve() -> None:
        ended = asyncio.Event()
        async with await hl7.mllp.start_hl7_server(take, host=LOOPBACK, port=0, encoding="utf-8") as server:
            taken_by.put((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, loop, ended = taken_by.get(timeout=20)
    put(queue, "A", "B")
    try:
        sender(queue, destination(port)).drain()
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()

    assert taken == ["A", "B"]
    assert states(queue) == {"A": "delivered:AA", "B": "delivered:AA"}


def test_messages_arrive_in_their_order_and_byte_for_byte(queue: Database) -> None:
    ids = [f"M{number}" for number in range(20)]
    put(queue, *ids)

    with system() as ris:
        sender(queue, destination(ris.port)).drain()

    assert ris.taken == [message(one) for one in ids]


def enhanced(apply: str) -> bytes:
    return message("E1", accept="AL", apply=apply)


@pytest.mark.parametrize(
    ("content", "codes", "said"),
    [
        (message("E1"), ["AA"], "AA"),
        (message("E1"), ["AE"], "AE"),
        (message("E1"), ["AR"], "AR"),
        (message("E1"), ["CA", "AA"], "AA"),
        (enhanced("NE"), ["CA"], "CA"),
        (enhanced("NE"), ["CR"], "CR"),
        (enhanced("AL"), ["CA", "AE"], "AE"),
        (enhanced("AL"), ["CE"], "CE"),
    ],
)
def test_the_acknowledgement_that_the_message_asked_for_settles_it(content: bytes, codes: list[str], said: str) -> None:
    with system(lambda taken: [acknowledgement(taken, code) for code in codes]) as ris:
        assert exchange(destination(ris.port), content).code == said


def test_an_answer_to_another_message_is_no_answer_to_this_one() -> None:
    def script(content: bytes) -> list[bytes]:
        return [acknowledgement(message("OTHER"), "AA"), acknowledgement(content, "AE")]

    with system(script) as ris:
        assert exchange(destination(ris.port), message("E1")).code == "AE"


@pytest.mark.parametrize(
    "script",
    [
        lambda _: None,
        lambda _: [b"MSH|^~\\&|RIS\rMSA|OK|E1\r"],
        lambda _: [b"what?"],
        lambda _: [b""],
        lambda _: [],
        lambda _: [acknowledgement(message("OTHER"))],
        lambda _: [b"x" * 2_000_000],
    ],
    ids=["closes", "unknown code", "no message", "empty block", "silence", "of another message", "too long"],
)
def test_what_is_no_answer_is_never_a_success(script: Script) -> None:
    with system(script) as ris, pytest.raises(NotAnswered):
        exchange(destination(ris.port, answer_s=0.5), message("E1"))


def test_accepted_for_now_is_not_enough_where_the_applications_word_is_awaited() -> None:
    with system(lambda taken: [acknowledgement(taken, "CA")]) as ris, pytest.raises(NotAnswered):
        exchange(destination(ris.port, answer_s=0.5), enhanced("AL"))


def test_without_a_connection_it_is_known_not_to_have_arrived() -> None:
    with pytest.raises(NotSent):
        exchange(destination(free_port()), message("E1"))


def test_a_system_that_was_away_gets_everything_in_order_when_it_is_back(queue: Database) -> None:
    clock, port = ManualClock(NOON), free_port()
    put(queue, "A", "B")
    sending = sender(queue, destination(port), clock=clock)
    sending.drain()
    assert states(queue) == {"A": "queued:no_connection", "B": "queued:"}

    with system() as ris:
        back = sender(queue, destination(ris.port), clock=clock)
        back.drain()
        assert ris.taken == [], "its next attempt is not due"
        clock.advance(timedelta(seconds=outgoing.FIRST_WAIT_S))
        back.drain()

        assert ris.control_ids() == ["A", "B"]
    assert states(queue) == {"A": "delivered:AA", "B": "delivered:AA"}


def test_a_refused_message_is_visible_and_the_next_ones_go_on(queue: Database) -> None:
    put(queue, "A", "BAD", "C")

    with system(lambda taken: [acknowledgement(taken, "AE" if b"|BAD|" in taken else "AA")]) as ris:
        sender(queue, destination(ris.port)).drain()

    assert states(queue) == {"A": "delivered:AA", "BAD": "refused:AE", "C": "delivered:AA"}


def test_a_system_that_hangs_does_not_hold_up_another(queue: Database) -> None:
    put(queue, "A")
    put(queue, "B", name="other")
    released = threading.Event()

    def hang(content: bytes) -> list[bytes]:
        released.wait(20)
        return [acknowledgement(content)]

    with system(hang) as slow, system() as fast:
        sending = sender(queue, destination(slow.port), destination(fast.port, name="other"))
        thread = threading.Thread(target=sending.drain)
        thread.start()
        wait_until(lambda: states(queue)["B"] == "delivered:AA", timeout_s=10, what="the other's message")
        assert states(queue)["A"] == "queued:"
        released.set()
        thread.join()

    assert states(queue)["A"] == "delivered:AA"


def test_a_destination_that_is_not_configured_keeps_its_messages(queue: Database) -> None:
    put(queue, "A", name="not_yet")

    with system() as ris:
        sender(queue, destination(ris.port)).drain()

        assert states(queue) == {"A": "queued:"}
        assert ris.taken == []


def test_a_stop_does_not_wait_for_a_system_that_hangs(queue: Database) -> None:
    put(queue, "A")
    released, stopping = threading.Event(), threading.Event()

    def hang(_: bytes) -> None:
        stopping.set()
        released.wait(20)

    with system(hang) as ris:
        sender(queue, destination(ris.port, answer_s=20.0)).run(stopping, poll_s=0.05)
        released.set()

    with queue.read() as connection:
        (left,) = outgoing.listed(connection)
    assert (left.state, left.is_uncertain) == (OutgoingState.QUEUED, True)
