"""The commitment ledger: promises only what was read again, forgets nothing, gives up within a bound."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from foundation import outbox
from foundation.clock import ManualClock
from foundation.database import Database, DatabaseAway
from pacs.archive import commitment
from pacs.archive.commitment import (
    Commitment,
    Failure,
    FailureReason,
    Ledger,
    NodeStopping,
    Reference,
    Result,
    State,
    TransactionUidReused,
    check,
    examine,
    retry_delay_s,
)
from pacs.contracts import TOPIC_STORAGE_COMMITMENT_REQUESTED, TOPIC_STORAGE_COMMITMENT_RESULT
from tests.harness.lookup_rows import CT_IMAGE, add_instances
from tests.harness.stored_files import StoredFiles

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
UIDS = ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]
CT = [Reference(CT_IMAGE, uid) for uid in UIDS]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 31, 23, 0, tzinfo=UTC))


@pytest.fixture
def ledger(database: Database, clock: ManualClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def stored(database: Database) -> Database:
    add_instances(database, UIDS)
    return database


@pytest.fixture
def away(database: Database) -> Iterator[None]:
    """The database answers no query from now on."""

    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        raise OperationalError(statement, {}, Exception("gone"))

    event.listen(database.engine, "before_cursor_execute", lose)
    yield
    event.remove(database.engine, "before_cursor_execute", lose)


def record(ledger: Ledger, transaction_uid: str = "2.25.1", calling_aet: str = "CT1") -> Commitment:
    return ledger.record(
        transaction_uid=transaction_uid, calling_aet=calling_aet, called_aet="TELEGARDE", references=CT
    )


def never() -> bool:
    return False


def test_every_instance_that_reads_back_as_stored_is_committed(stored: Database) -> None:
    reader = StoredFiles()

    assert check(stored, reader, CT) == Result(committed=tuple(CT), failed=())
    assert reader.read == UIDS


@pytest.mark.parametrize(
    "reader",
    [StoredFiles(missing={UIDS[1]}), StoredFiles(corrupt={UIDS[1]}), StoredFiles(short={UIDS[1]})],
    ids=["missing", "corrupt", "short"],
)
def test_an_instance_that_does_not_read_back_is_a_processing_failure(stored: Database, reader: StoredFiles) -> None:
    result = check(stored, reader, CT)

    assert result.committed == (CT[0], CT[2])
    assert result.failed == (Failure(CT[1], FailureReason.PROCESSING_FAILURE),)


def test_what_is_not_stored_is_no_such_object_instance(stored: Database) -> None:
    unknown = Reference(CT_IMAGE, "9.9.9")

    assert check(stored, StoredFiles(), [unknown]).failed == (Failure(unknown, FailureReason.NO_SUCH_OBJECT_INSTANCE),)


def test_another_sop_class_is_a_class_instance_conflict(stored: Database) -> None:
    asked = Reference(MR_IMAGE, UIDS[0])

    assert check(stored, StoredFiles(), [asked]).failed == (Failure(asked, FailureReason.CLASS_INSTANCE_CONFLICT),)


def test_a_uid_under_two_series_is_committed_only_if_both_copies_are_read(stored: Database) -> None:
    add_instances(stored, UIDS[:1], series_uid="1.2.3.2")
    reader = StoredFiles()

    assert check(stored, reader, CT[:1]).committed == (CT[0],)
    assert reader.read == [UIDS[0], UIDS[0]]


@pytest.mark.usefixtures("stored", "away")
def test_a_database_that_is_away_gives_no_outcome(database: Database) -> None:
    with pytest.raises(DatabaseAway):
        check(database, StoredFiles(), CT)


def test_a_request_in_hand_is_left_alone_until_its_lease_runs_out(ledger: Ledger, clock: ManualClock) -> None:
    kept = record(ledger)

    assert ledger.claim_due() is None
    clock.advance(timedelta(seconds=commitment.LEASE_S))
    taken = ledger.claim_due()

    assert taken is not None
    assert taken.commitment_pk == kept.commitment_pk
    assert taken.references == tuple(CT)
    assert taken.result is None
    assert taken.attempts == 2
    assert ledger.claim_due() is None


def test_an_outcome_is_kept_and_stated_once(ledger: Ledger, stored: Database, clock: ManualClock) -> None:
    kept = record(ledger)

    examined = examine(ledger, StoredFiles(corrupt={UIDS[2]}), kept, is_stopping=never)
    ledger.keep_result(kept, Result(committed=tuple(CT), failed=()))
    ledger.hand_over(kept)
    due = ledger.claim_due()

    assert due is not None
    assert due.result == examined.result
    with stored.read() as connection:
        (fact,) = outbox.read_after(connection, 0, topics=[TOPIC_STORAGE_COMMITMENT_RESULT])
    assert fact.payload == {"transaction_uid": "2.25.1", "calling_aet": "CT1", "committed": 2, "failed": 1}


def test_a_modality_that_commits_to_what_is_all_here_has_said_so(ledger: Ledger, stored: Database) -> None:
    examine(ledger, StoredFiles(), record(ledger), is_stopping=never)

    with stored.read() as connection:
        (fact,) = outbox.read_after(connection, 0, topics=[TOPIC_STORAGE_COMMITMENT_REQUESTED])
    assert fact.payload == {
        "transaction_uid": "2.25.1", "calling_aet": "CT1", "study_instance_uids": ["1.2.3"], "count": 3,
    }  # fmt: skip


def test_a_request_of_which_an_instance_failed_says_nothing_of_completeness(ledger: Ledger, stored: Database) -> None:
    examine(ledger, StoredFiles(corrupt={UIDS[2]}), record(ledger), is_stopping=never)

    with stored.read() as connection:
        assert outbox.read_after(connection, 0, topics=[TOPIC_STORAGE_COMMITMENT_REQUESTED]) == []


def test_the_lease_is_renewed_while_instances_are_read(ledger: Ledger, stored: Database, clock: ManualClock) -> None:
    kept = record(ledger)

    class SlowFiles(StoredFiles):
        def read_file(self, ref: Any) -> memoryview:
            clock.advance(timedelta(seconds=commitment.LEASE_S * 0.6))
            assert ledger.claim_due() is None
            return super().read_file(ref)

    examine(ledger, SlowFiles(), kept, is_stopping=never)

    assert ledger.claim_due() is None


def test_a_stop_ends_a_check_without_outcome(ledger: Ledger, stored: Database) -> None:
    kept = record(ledger)
    reader = StoredFiles()

    with pytest.raises(NodeStopping):
        examine(ledger, reader, kept, is_stopping=lambda: bool(reader.read))

    assert len(reader.read) == 1
    ledger.hand_over(kept)
    due = ledger.claim_due()
    assert due is not None
    assert due.result is None


def test_a_delivered_commitment_is_never_due_again(ledger: Ledger, clock: ManualClock) -> None:
    ledger.delivered(record(ledger))
    clock.advance(timedelta(days=1))

    assert ledger.claim_due() is None
    assert ledger.counts()["delivered"] == 1


def test_waits_double_up_to_a_bound() -> None:
    waits = [retry_delay_s(attempt) for attempt in range(1, commitment.ATTEMPTS_MAX)]

    assert waits[:3] == [30, 60, 120]
    assert max(waits) == commitment.RETRY_S_MAX
    assert waits == sorted(waits)


def test_it_is_given_up_after_a_bound_and_stays_visible(ledger: Ledger, clock: ManualClock) -> None:
    kept: Commitment | None = record(ledger)
    began = clock.now()
    tries = 0

    while kept is not None:
        tries += 1
        state = ledger.failed(kept)
        clock.advance(timedelta(seconds=commitment.RETRY_S_MAX))
        kept = ledger.claim_due()

    assert tries == commitment.ATTEMPTS_MAX
    assert state is State.GIVEN_UP
    assert timedelta(days=1) < clock.now() - began < timedelta(days=5)
    clock.advance(timedelta(days=365))
    assert ledger.purge() == 0
    assert ledger.counts()["given_up"] == 1


def test_a_failed_report_waits_before_it_is_due(ledger: Ledger, clock: ManualClock) -> None:
    assert ledger.failed(record(ledger)) is State.REQUESTED

    clock.advance(timedelta(seconds=29))
    assert ledger.claim_due() is None
    clock.advance(timedelta(seconds=1))
    assert ledger.claim_due() is not None


def test_the_longest_due_comes_first_and_peers_can_be_passed_over(ledger: Ledger, clock: ManualClock) -> None:
    for transaction_uid, calling_aet in [("2.25.1", "CT1"), ("2.25.2", "CT1"), ("2.25.3", "MR1")]:
        ledger.hand_over(record(ledger, transaction_uid, calling_aet))
        clock.advance(timedelta(seconds=1))

    first = ledger.claim_due()
    other = ledger.claim_due(but_not_for={"CT1"})

    assert first is not None
    assert first.transaction_uid == "2.25.1"
    assert other is not None
    assert other.calling_aet == "MR1"


def test_the_same_request_again_begins_anew(ledger: Ledger, stored: Database, clock: ManualClock) -> None:
    first = record(ledger)
    ledger.delivered(examine(ledger, StoredFiles(), first, is_stopping=never))
    clock.advance(timedelta(seconds=1))

    again = record(ledger)

    assert again.commitment_pk == first.commitment_pk
    assert again.result is None
    assert ledger.counts()["requested"] == 1


def test_what_is_known_about_the_first_request_is_not_told_of_the_second(ledger: Ledger, clock: ManualClock) -> None:
    first = record(ledger)
    clock.advance(timedelta(seconds=1))
    record(ledger)

    ledger.keep_result(first, Result(committed=tuple(CT), failed=()))
    ledger.delivered(first)

    assert ledger.counts() == {"requested": 1, "checked": 0, "delivered": 0, "given_up": 0}


def test_a_transaction_uid_used_for_other_instances_is_refused(ledger: Ledger) -> None:
    record(ledger)

    with pytest.raises(TransactionUidReused):
        ledger.record(transaction_uid="2.25.1", calling_aet="CT1", called_aet="TELEGARDE", references=CT[:2])


def test_two_peers_may_use_one_transaction_uid(ledger: Ledger) -> None:
    assert record(ledger, calling_aet="CT1").commitment_pk != record(ledger, calling_aet="MR1").commitment_pk


def test_delivered_commitments_go_after_a_week(ledger: Ledger, clock: ManualClock) -> None:
    ledger.delivered(record(ledger))
    clock.advance(timedelta(days=6))
    assert ledger.purge() == 0

    clock.advance(timedelta(days=2))
    assert ledger.purge() == 1
    assert ledger.counts()["delivered"] == 0


def test_a_request_survives_the_process_that_took_it(ledger: Ledger, database_url: str, clock: ManualClock) -> None:
    record(ledger)
    clock.advance(timedelta(seconds=commitment.LEASE_S))
    reopened = Database(database_url)

    due = Ledger(reopened, clock).claim_due()
    reopened.close()

    assert due is not None
    assert due.references == tuple(CT)
