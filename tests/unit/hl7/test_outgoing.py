"""The queue of messages that go out: in order, once each in effect, never given up while nobody answers."""

from datetime import timedelta

import pytest

from foundation.database import Database
from pacs.worklist.hl7 import outgoing
from pacs.worklist.hl7.acknowledgement import Answer, AnswerCode
from pacs.worklist.hl7.outgoing import (
    LEASE_S,
    REJECTIONS_MAX,
    WAIT_S_MAX,
    ControlIdTaken,
    Failure,
    NoOutgoing,
    Outgoing,
    OutgoingState,
)
from tests.harness.hl7_messages import NOON

RIS = "north_ris"
UNANSWERED = Failure(reason="no_answer", may_have_arrived=True)
UNCONNECTED = Failure(reason="no_connection", may_have_arrived=False)


def put(database: Database, *control_ids: str, destination: str = RIS) -> list[bool]:
    with database.write(durable=True) as connection:
        return [
            outgoing.enqueue(
                connection, destination, b"MSH|" + one.encode(), control_id=one, message_type="ORU^R01", now=NOON
            )
            for one in control_ids
        ]


def begin(database: Database, *, after_s: float = 0.0, worker: str = "w1", destination: str = RIS) -> Outgoing | None:
    with database.write(durable=True) as connection:
        return outgoing.begin(connection, destination, NOON + timedelta(seconds=after_s), worker=worker)


def record(database: Database, message: Outgoing | None, came: str | Failure, *, after_s: float = 0.0) -> OutgoingState:
    assert message is not None
    answer = came if isinstance(came, Failure) else Answer(
        code=AnswerCode(came), control_id=message.control_id, content=b"MSA|" + came.encode()
    )  # fmt: skip
    with database.write(durable=True) as connection:
        return outgoing.record(connection, message, answer, NOON + timedelta(seconds=after_s))


def row(database: Database, control_id: str) -> Outgoing:
    with database.read() as connection:
        known = outgoing.listed(connection, frozenset(OutgoingState))
    (found,) = [one for one in known if (one.destination, one.control_id) == (RIS, control_id)]
    return found


def begun_id(database: Database, *, after_s: float = 0.0, worker: str = "w1") -> str:
    found = begin(database, after_s=after_s, worker=worker)
    return "" if found is None else found.control_id


def test_a_control_id_is_one_message_at_a_destination(database: Database) -> None:
    assert put(database, "A", "A") == [True, False]
    assert put(database, "A", destination="other") == [True]

    with pytest.raises(ControlIdTaken), database.write(durable=True) as connection:
        outgoing.enqueue(connection, RIS, b"else", control_id="A", message_type="ORU^R01", now=NOON)


def test_messages_of_a_destination_go_in_the_order_in_which_they_were_put_in(database: Database) -> None:
    put(database, "A", "B", "C")

    sent = []
    for _ in range(3):
        message = begin(database)
        assert message is not None
        sent.append(message.control_id)
        assert record(database, message, "AA") is OutgoingState.DELIVERED

    assert sent == ["A", "B", "C"]
    assert begin(database) is None


def test_nobody_overtakes_a_message_that_waits_for_its_next_attempt(database: Database) -> None:
    put(database, "A", "B")
    record(database, begin(database), UNANSWERED)

    assert begun_id(database, after_s=outgoing.FIRST_WAIT_S - 0.1) == ""
    assert begun_id(database, after_s=outgoing.FIRST_WAIT_S) == "A"


def test_while_nobody_answers_it_is_tried_again_for_ever_with_growing_waits(database: Database) -> None:
    put(database, "A")
    now_s, waits = 0.0, []
    for _ in range(12):
        assert record(database, begin(database, after_s=now_s), UNCONNECTED, after_s=now_s) is OutgoingState.QUEUED
        waits.append((row(database, "A").due_at - NOON).total_seconds() - now_s)
        now_s += waits[-1]

    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert waits[-1] == WAIT_S_MAX


@pytest.mark.parametrize("code", ["AE", "CE"])
def test_what_is_refused_as_wrong_waits_for_a_human_and_the_next_one_goes_on(database: Database, code: str) -> None:
    put(database, "A", "B")

    assert record(database, begin(database), code) is OutgoingState.REFUSED

    assert row(database, "A").reason == code
    assert begun_id(database) == "B"


@pytest.mark.parametrize("code", ["AR", "CR"])
def test_what_is_rejected_is_tried_again_a_few_times_and_then_waits_for_a_human(database: Database, code: str) -> None:
    put(database, "A", "B")
    now_s, states = 0.0, []
    for _ in range(REJECTIONS_MAX):
        states.append(record(database, begin(database, after_s=now_s), code, after_s=now_s))
        now_s += WAIT_S_MAX

    assert states == [OutgoingState.QUEUED] * (REJECTIONS_MAX - 1) + [OutgoingState.REFUSED]
    assert begun_id(database, after_s=now_s) == "B"


def test_whether_it_may_have_arrived_is_remembered_until_somebody_answers(database: Database) -> None:
    put(database, "A")
    message = begin(database)
    assert row(database, "A").is_uncertain, "from the moment before it is sent"

    record(database, message, UNCONNECTED)
    assert not row(database, "A").is_uncertain
    record(database, begin(database, after_s=10), UNANSWERED, after_s=10)
    assert row(database, "A").is_uncertain
    record(database, begin(database, after_s=30), UNCONNECTED, after_s=30)
    assert row(database, "A").is_uncertain
    record(database, begin(database, after_s=90), "AA", after_s=90)
    assert not row(database, "A").is_uncertain


def test_only_one_process_sends_to_a_destination_until_its_lease_has_run_out(database: Database) -> None:
    put(database, "A")
    assert begun_id(database, worker="w1") == "A"

    assert begun_id(database, worker="w2", after_s=LEASE_S - 1) == ""
    assert begun_id(database, worker="w2", after_s=LEASE_S) == "A"


def test_a_destination_with_nothing_due_is_leased_by_nobody(database: Database) -> None:
    put(database, "A")
    record(database, begin(database, worker="w1"), "AA")
    assert begin(database, worker="w1") is None
    put(database, "B")

    assert begun_id(database, worker="w2") == "B"


def test_only_destinations_whose_oldest_message_is_due_are_looked_at(database: Database) -> None:
    put(database, "A", "B")
    put(database, "C", destination="other")
    put(database, "D", destination="unknown")
    record(database, begin(database), UNANSWERED)

    with database.read() as connection:
        known = frozenset({RIS, "other"})
        assert outgoing.due(connection, known, NOON) == {"other"}
        assert outgoing.due(connection, known, NOON + timedelta(seconds=5)) == known


def test_a_human_has_a_message_sent_again_or_gives_it_up(database: Database) -> None:
    put(database, "A", "B")
    record(database, begin(database), "AE")
    with database.write(durable=True) as connection:
        again = outgoing.try_again(connection, row(database, "A").number, NOON, by="anne")
    assert (again.state, again.ended_by) == (OutgoingState.QUEUED, "anne")
    assert begun_id(database) == "A"

    with database.write(durable=True) as connection:
        outgoing.give_up(connection, again.number, NOON, by="anne")

    assert row(database, "A").state is OutgoingState.GIVEN_UP
    assert begun_id(database) == "B"


def test_what_was_delivered_is_neither_sent_again_nor_given_up(database: Database) -> None:
    put(database, "A")
    record(database, begin(database), "AA")
    number = row(database, "A").number

    for change in (outgoing.try_again, outgoing.give_up):
        with pytest.raises(NoOutgoing), database.write(durable=True) as connection:
            change(connection, number, NOON, by="anne")


def test_what_was_delivered_long_ago_is_forgotten_and_nothing_else(database: Database) -> None:
    put(database, "A", "B", "C")
    record(database, begin(database), "AA")
    record(database, begin(database), "AE")

    with database.write() as connection:
        assert outgoing.forget(connection, NOON) == 0
        assert outgoing.forget(connection, NOON + timedelta(days=1)) == 1
        left = outgoing.listed(connection, frozenset(OutgoingState))

    assert [one.control_id for one in left] == ["B", "C"]
