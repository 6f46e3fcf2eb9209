"""Messages take effect and are kept with their answers in one transaction; what comes again is answered as before."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.worklist.hl7 import received
from pacs.worklist.hl7.acknowledgement import Answers
from pacs.worklist.hl7.inbox import BATCH_MESSAGES_MAX, Inbox, take_all
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, ReceivedMessage, Rejected
from pacs.worklist.hl7.received import STRANGERS_KEPT_MAX, ReceivedState, counts
from pacs.worklist.hl7.senders import SenderRule, SenderRules
from tests.harness.hl7_messages import IDENTITY, NOON, Recorder, arrival, effects_of, make_effects, message, segment

WRONG = FieldError(segment="OBR", field=4, code=ErrorCode.REQUIRED_FIELD_MISSING, text="which exam is missing")


@pytest.fixture
def inbox_database(database: Database) -> Database:
    make_effects(database)
    return database


def take(database: Database, handler: Recorder, *contents: bytes) -> list[Answers]:
    """Give messages to an inbox, one transaction each."""
    inbox = Inbox(database, handler, ManualClock(NOON))
    return [inbox.take(arrival(content)) for content in contents]


def together(database: Database, handler: Recorder, contents: Sequence[bytes]) -> list[Answers]:
    """Give messages in one transaction."""
    with database.write(durable=True) as connection:
        return take_all(connection, [arrival(content) for content in contents], handler, NOON)


def code(answers: Answers) -> str:
    return segment(answers.application or answers.accept, "MSA")[1]


def says(outcomes: dict[str, Outcome | Exception]) -> Recorder:
    """Return a handler that says this for messages by control id, and accepts all others."""

    def say(taken: ReceivedMessage) -> Outcome:
        outcome = outcomes.get(taken.control_id, Accepted())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Recorder(say)


def test_an_accepted_message_has_its_effect_and_is_kept_with_its_answer(inbox_database: Database) -> None:
    (answers,) = take(inbox_database, Recorder(), message("M1"))

    found = arrival(message("M1"))
    assert effects_of(inbox_database) == {found.message_id}
    with inbox_database.read() as connection:
        kept = received.find(connection, found.message_id)
    assert kept is not None
    assert (kept.state, kept.content, kept.answers) == (ReceivedState.ACCEPTED, message("M1"), answers)


def test_a_message_that_comes_again_is_answered_byte_for_byte_and_has_no_second_effect(
    inbox_database: Database,
) -> None:
    handler, clock = says({"M2": Rejected(code="AE", errors=(WRONG,))}), ManualClock(NOON)
    inbox = Inbox(inbox_database, handler, clock)
    first = [inbox.take(arrival(message(one))) for one in ("M1", "M2")]
    clock.set(NOON.replace(year=2027))

    again = [inbox.take(arrival(message(one))) for one in ("M1", "M2")]

    assert again == first
    assert len(handler.handled) == 2


def test_a_message_that_comes_twice_in_one_batch_has_one_effect(inbox_database: Database) -> None:
    handler = Recorder()

    first, second = together(inbox_database, handler, [message("M1"), message("M1")])

    assert first == second
    assert len(handler.handled) == 1


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_another_message_under_a_control_id_that_took_effect_is_rejected(
    inbox_database: Database, is_one_batch: bool
) -> None:
    contents = [message("M1"), message("M1", body="PID|9\r")]

    answers = (together if is_one_batch else lambda *parts: take(*parts[:2], *parts[2]))(
        inbox_database, Recorder(), contents
    )

    assert [code(one) for one in answers] == ["AA", "AR"]
    assert segment(answers[1].application, "ERR")[2:4] == ["MSH^1^10", "205^Duplicate key identifier^HL70357"]
    assert len(effects_of(inbox_database)) == 1


def test_a_corrected_message_may_use_the_control_id_of_one_without_effect(inbox_database: Database) -> None:
    outcomes: list[Outcome] = [Rejected(code="AE", errors=(WRONG,)), Accepted()]
    handler = Recorder(lambda _: outcomes.pop(0))

    answers = take(inbox_database, handler, message("M1"), message("M1", body="OBR|1|right\r"))

    assert [code(one) for one in answers] == ["AE", "AA"]


def test_the_same_control_id_of_two_senders_is_two_messages(inbox_database: Database) -> None:
    handler = Recorder()
    every = SenderRule(identity=replace(IDENTITY, facility=""), character_set="ASCII")
    of_two = [arrival(message("M1", facility=one), rules=SenderRules(rules=(every,))) for one in ("NORTH", "SOUTH")]
    with inbox_database.write(durable=True) as connection:
        answers = take_all(connection, of_two, handler, NOON)

    assert [code(one) for one in answers] == ["AA", "AA"]
    assert len(handler.handled) == 2


@pytest.mark.parametrize(
    ("outcome", "said", "reason"),
    [
        (Rejected(code="AE", errors=(WRONG,)), "AE", "rejected"),
        (Rejected(code="AR", errors=(WRONG,)), "AR", "rejected"),
        (Parked(reason="patient_differs", errors=(WRONG,)), "AE", "patient_differs"),
        (ValueError("a defect"), "AE", "defect"),
        (ZeroDivisionError(), "AE", "defect"),
    ],
    ids=["AE", "AR", "parked", "defect", "another defect"],
)
def test_what_is_not_accepted_is_a_dead_letter_without_effect_and_its_neighbours_go_on(
    inbox_database: Database, outcome: Outcome | Exception, said: str, reason: str
) -> None:
    handler = says({"BAD": outcome})

    answers = together(inbox_database, handler, [message("M1"), message("BAD"), message("M2")])

    assert [code(one) for one in answers] == ["AA", said, "AA"]
    assert effects_of(inbox_database) == {arrival(message(one)).message_id for one in ("M1", "M2")}
    with inbox_database.read() as connection:
        (dead,) = received.dead(connection)
    assert (dead.control_id, dead.reason, dead.content) == ("BAD", reason, message("BAD"))


def test_a_defect_in_a_statement_leaves_the_transaction_usable(inbox_database: Database) -> None:
    """PostgreSQL takes no statement after one that failed, but for the end of its savepoint."""
    handler = Recorder()

    def twice(taken: ReceivedMessage) -> Outcome:
        return Accepted() if taken.control_id != "BAD" else handler.handle(connection, taken, NOON)

    outer = Recorder(twice)
    with inbox_database.write(durable=True) as connection:
        answers = take_all(connection, [arrival(message(one)) for one in ("BAD", "M1")], outer, NOON)

    assert [code(one) for one in answers] == ["AE", "AA"]
    assert effects_of(inbox_database) == {arrival(message("M1")).message_id}


def test_when_it_cannot_be_done_now_nothing_is_kept_and_the_sender_may_try_again(inbox_database: Database) -> None:
    outcomes: list[Outcome | Exception] = [Unavailable("away"), Accepted()]

    def say(_: ReceivedMessage) -> Outcome:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    first, second = take(inbox_database, Recorder(say), message("M1"), message("M1"))

    assert (code(first), code(second)) == ("AR", "AA")
    with inbox_database.read() as connection:
        assert counts(connection) == {ReceivedState.ACCEPTED: 1}


def test_of_strangers_only_so_many_dead_letters_are_kept(inbox_database: Database) -> None:
    strange = [message(f"S{number}", application="NOBODY") for number in range(STRANGERS_KEPT_MAX + 3)]

    answers = together(inbox_database, Recorder(), strange)
    after = together(inbox_database, Recorder(), [message("LATE", application="NOBODY"), message("BAD", kind="")])

    assert {code(one) for one in (*answers, *after)} == {"AR"}
    with inbox_database.read() as connection:
        dead = received.dead(connection, limit=2 * STRANGERS_KEPT_MAX)
    assert [one.control_id for one in dead[-2:]] == [f"S{STRANGERS_KEPT_MAX - 1}", "BAD"]
    assert len(dead) == STRANGERS_KEPT_MAX + 1


def test_messages_of_many_threads_share_transactions_and_each_gets_its_own_answer(inbox_database: Database) -> None:
    handler = Recorder()
    inbox = Inbox(inbox_database, handler, ManualClock(NOON))
    answered: dict[str, str] = {}

    def send(number: int) -> None:
        for position in range(5):
            control_id = f"M{number}-{position}"
            answered[control_id] = segment(inbox.take(arrival(message(control_id))).application, "MSA")[2]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(BATCH_MESSAGES_MAX + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answered == {control_id: control_id for control_id in answered}
    assert len(effects_of(inbox_database)) == len(answered) == 5 * len(threads)


def test_messages_are_numbered_in_the_order_in_which_they_were_kept(inbox_database: Database) -> None:
    bad = [message(f"B{number}", kind="") for number in range(3)]
    take(inbox_database, Recorder(), *bad)

    with inbox_database.read() as connection:
        assert [one.control_id for one in received.dead(connection)] == ["B0", "B1", "B2"]
