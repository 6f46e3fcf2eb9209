"""Dead letters are shown, replayed and put aside by people, and take effect at most once."""

import pytest

from foundation.database import Database
from pacs.worklist.hl7 import dead_letters, received
from pacs.worklist.hl7.dead_letters import NoDeadLetter, NotReplayable
from pacs.worklist.hl7.inbox import take_all
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, Rejected
from pacs.worklist.hl7.received import ReceivedState
from pacs.worklist.hl7.senders import SenderRules
from tests.harness.hl7_messages import NOON, RULES, Recorder, arrival, effects_of, make_effects, message, segment

WRONG = FieldError(segment="PID", field=3, code=ErrorCode.UNKNOWN_KEY_IDENTIFIER, text="another patient")
PARKED = Parked(reason="patient_differs", errors=(WRONG,))


@pytest.fixture
def kept_database(database: Database) -> Database:
    make_effects(database)
    return database


def take(database: Database, outcome: Outcome, content: bytes, *, rules: SenderRules = RULES) -> str:
    """Take a message that becomes this; return MSA-1."""
    with database.write(durable=True) as connection:
        (answers,) = take_all(connection, [arrival(content, rules=rules)], Recorder(lambda _: outcome), NOON)
    return segment(answers.application, "MSA")[1]


def replay(database: Database, message_id: str, outcome: Outcome) -> Outcome:
    with database.write(durable=True) as connection:
        return dead_letters.replay(
            connection, message_id, Recorder(lambda _: outcome), RULES, processing_id="P", now=NOON, by="anne"
        )


def dead_ids(database: Database) -> list[str]:
    with database.read() as connection:
        return [one.message_id for one in received.dead(connection)]


def test_a_dead_letter_that_is_replayed_takes_effect_and_its_sender_hears_so(kept_database: Database) -> None:
    assert take(kept_database, PARKED, message("M1")) == "AE"
    (dead,) = dead_ids(kept_database)

    assert replay(kept_database, dead, Accepted()) == Accepted()

    assert effects_of(kept_database) == {dead}
    assert dead_ids(kept_database) == []
    assert take(kept_database, PARKED, message("M1")) == "AA"
    with kept_database.read() as connection:
        kept = dead_letters.show(connection, dead)
    assert (kept.state, kept.settled_by, kept.reason) == (ReceivedState.ACCEPTED, "anne", "")


def test_a_replay_that_fails_leaves_the_dead_letter_with_the_reason_of_today(kept_database: Database) -> None:
    take(kept_database, PARKED, message("M1"))
    (dead,) = dead_ids(kept_database)

    replay(kept_database, dead, Rejected(code="AE", errors=(WRONG,)))

    assert dead_ids(kept_database) == [dead]
    assert effects_of(kept_database) == set()
    with kept_database.read() as connection:
        assert dead_letters.show(connection, dead).reason == "rejected"


def test_a_strangers_message_takes_effect_when_he_is_configured_and_it_is_replayed(kept_database: Database) -> None:
    assert take(kept_database, Accepted(), message("M1"), rules=SenderRules(rules=())) == "AR"
    (dead,) = dead_ids(kept_database)

    replay(kept_database, dead, Accepted())

    assert effects_of(kept_database) == {arrival(message("M1")).message_id}
    assert take(kept_database, PARKED, message("M1")) == "AA"
    assert len(effects_of(kept_database)) == 1


def test_a_message_of_somebody_unknown_today_stays_dead(kept_database: Database) -> None:
    take(kept_database, PARKED, message("M1", application="NOBODY"))
    (dead,) = dead_ids(kept_database)

    outcome = replay(kept_database, dead, Accepted())

    assert isinstance(outcome, Rejected)
    assert dead_ids(kept_database) == [dead]


def test_a_dead_letter_whose_control_id_took_effect_since_is_not_replayed(kept_database: Database) -> None:
    take(kept_database, PARKED, message("M1"))
    (dead,) = dead_ids(kept_database)
    assert take(kept_database, Accepted(), message("M1", body="PID|2\r")) == "AA"

    with pytest.raises(NotReplayable):
        replay(kept_database, dead, Accepted())

    assert len(effects_of(kept_database)) == 1


def test_a_message_of_which_only_the_beginning_was_kept_is_not_replayed(kept_database: Database) -> None:
    take(kept_database, PARKED, message("M1", application="NOBODY", body="OBX|1|TX|||" + "x" * 100_000 + "\r"))
    (dead,) = dead_ids(kept_database)

    with pytest.raises(NotReplayable):
        replay(kept_database, dead, Accepted())


def test_what_is_put_aside_is_no_dead_letter_any_more_and_says_who_did_it(kept_database: Database) -> None:
    take(kept_database, PARKED, message("M1"))
    (dead,) = dead_ids(kept_database)

    with kept_database.write(durable=True) as connection:
        dead_letters.discard(connection, dead, now=NOON, by="anne")

    assert dead_ids(kept_database) == []
    with kept_database.read() as connection:
        kept = dead_letters.show(connection, dead)
    assert (kept.state, kept.settled_by, kept.reason) == (ReceivedState.DISCARDED, "anne", "patient_differs")
    with pytest.raises(NoDeadLetter):
        replay(kept_database, dead, Accepted())


def test_old_messages_are_forgotten_but_never_a_dead_letter(kept_database: Database) -> None:
    take(kept_database, Accepted(), message("M1"))
    take(kept_database, PARKED, message("M2"))

    with kept_database.write() as connection:
        assert received.forget(connection, received.kept_since(NOON, 1)) == 0
        assert received.forget(connection, NOON.replace(year=2027)) == 1

    (dead,) = dead_ids(kept_database)
    assert dead == arrival(message("M2")).message_id
