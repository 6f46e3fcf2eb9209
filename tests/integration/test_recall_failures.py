"""A plan blanc whose providers fail for some, through real counterparts: all called by every way, every call traced."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from benchmarks.peers.message_gateway import Gateway, message_gateway
from foundation.clock import ManualClock
from foundation.database import Database
from oncall import drill, recall_store
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.channels.port import Channel
from oncall.directory import ChannelKind, ContactMethod, PersonId
from oncall.dispatch import Dispatcher
from oncall.messages import idempotency_key
from oncall.messages_sql import SqlMessages
from oncall.plan_blanc import Recalled, RecallOrder
from oncall.recall_rows import chain_of
from tests.harness.mail_relay import Relay, mail_relay
from tests.harness.peers import free_port
from tests.harness.small_territory import BEGIN, SENDER

PEOPLE = 36
# A number of the gateway's, and whether a telephone rings when it is called once.
NUMBERS = {
    "+336": True, "status:503": False, "status:400": False, "status:500:sent": True, "broken": True, "refused": False,
}  # fmt: skip


def people(count: int) -> tuple[Recalled, ...]:
    """Return a staff list: each first by a telephone that fails in its way, then by mail that some relays refuse."""
    numbers = list(NUMBERS)
    found = []
    for place in range(count):
        number = numbers[place % len(numbers)]
        # Nobody listens where voice calls are handed over.
        kind = ChannelKind.VOICE if number == "refused" else ChannelKind.SMS
        mail = f"refused@p{place}.example" if place % 4 == 0 else f"p{place}@example.org"
        methods = (
            ContactMethod(kind=kind, address=f"{number}{place:06d}" if number == "+336" else number),
            ContactMethod(kind=ChannelKind.EMAIL, address=mail),
        )
        found.append(Recalled(person_id=PersonId(f"p{place}"), language="fr", methods=methods))
    return tuple(found)


@pytest.fixture
def order() -> RecallOrder:
    return RecallOrder(
        recall_id="r1", place="CH North", zone="Europe/Paris", people=people(PEOPLE), started_by="coline"
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with message_gateway(tmp_path / "requests") as running:
        yield running


@pytest.fixture
def relay() -> Iterator[Relay]:
    with mail_relay() as running:
        yield running


@pytest.fixture
def channels(gateway: Gateway, relay: Relay) -> list[Channel]:
    body, ids = {"to": "{to}", "text": "{text}"}, ("messages", 0, "id")
    nobody = f"http://127.0.0.1:{free_port()}/"
    return [
        HttpChannel(HttpGateway(kind=ChannelKind.SMS, url=gateway.url, body=body, id_path=ids, is_repeatable=True)),
        HttpChannel(HttpGateway(kind=ChannelKind.VOICE, url=nobody, body=body, id_path=ids)),
        SmtpChannel(SmtpRelay(host="127.0.0.1", port=relay.port, sender="t@t.example", security=Security.NONE)),
    ]


def carry_on(database: Database, channels: list[Channel], clock: ManualClock) -> None:
    """Hand over and call on until nobody is left to call."""
    dispatcher = Dispatcher(database, channels, clock, worker="one", threads_per_channel=8)
    for _ in range(60):
        dispatcher.drain()
        with database.write(durable=True) as connection:
            if recall_store.go_on(connection, "r1", clock.now(), SENDER) is None:
                break
        clock.advance(timedelta(seconds=20))
    dispatcher.drain()


def test_whoever_a_provider_fails_for_is_called_by_the_next_way_and_every_call_is_traced(
    database: Database, order: RecallOrder, channels: list[Channel], gateway: Gateway, relay: Relay
) -> None:
    with database.write(durable=True) as connection:
        assert recall_store.start(connection, order, BEGIN, SENDER) == PEOPLE

    carry_on(database, channels, ManualClock(BEGIN))

    with database.read() as connection:
        board, messages = recall_store.board_of(connection, "r1"), SqlMessages(connection)
        calls = [f"{chain_of('r1', one.person_id)}/{number}" for one in board.standings for number in range(one.calls)]
        last = {key: messages.status(key) for key in calls}
        traces = {key: [event.happened for event in messages.trace(key)] for key in calls}
    states = {key: "" if status is None else str(status.state) for key, status in last.items()}
    assert set(states.values()) == {"sent", "failed", "unknown"}
    assert all(trace[0] == "queued" and trace[-1] == states[key] for key, trace in traces.items())
    # Both ways were tried for everybody who was silent, and no telephone rang twice for one call.
    assert all(one.calls >= 2 for one in board.standings)
    assert max(Counter(request["key"] for request in gateway.requests() if request["is_sent"]).values()) == 1
    rung = {request["key"] for request in gateway.requests() if request["is_sent"]}
    assert {key for key, state in states.items() if state == "sent"} <= {
        key for key in calls if idempotency_key(key) in rung or key.rpartition("/")[2] in "13"
    }
    mailed = set(relay.recipients())
    for person, standing in zip(order.people, board.standings, strict=True):
        assert (person.methods[1].address in mailed) == (not person.methods[1].address.startswith("refused"))
        # Who is said to be out of reach was told by nobody, and who is said to have been told was.
        has_rung = NUMBERS["+336" if person.methods[0].address.startswith("+336") else person.methods[0].address]
        if standing.is_handed_over:
            assert has_rung or person.methods[1].address in mailed
        assert bool(standing.reason) == (not standing.is_handed_over)


def test_a_drill_of_the_same_list_reaches_no_provider(
    database: Database, order: RecallOrder, channels: list[Channel], gateway: Gateway, relay: Relay
) -> None:
    recorder = drill.Recorder()
    with database.write(durable=True) as connection:
        drill.rehearse(connection, order, BEGIN, recorder)

    carry_on(database, channels, ManualClock(BEGIN))

    assert len(recorder.recorded) == PEOPLE
    assert (gateway.requests(), relay.sessions) == ([], 0)
