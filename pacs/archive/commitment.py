"""The ledger of storage commitments: what was asked, what was found by re-reading, and what is still to be reported.

For: keeping each request until its answer has been delivered, and checking instances. Not for: DICOM messages
(`pacs.scp.commitment`) or associations (`pacs.scp.commitment_relay`).

Invariants
----------
* A request is on disk before anybody answers it, and a crash between any two steps leads to its being checked or
  reported again, never to its being forgotten.
* "Committed" is only ever the outcome of reading the stored bytes again, just now, and comparing their digest; when
  the database is away there is no outcome, rather than a failed one.
* Whoever works on a commitment holds a lease: `next_attempt_at_s` lies ahead, and others leave the row alone.

References
----------
PS3.4 J.3 (Storage Commitment Push Model), PS3.3 C.14 (failure reasons)
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol

import xxhash
from sqlalchemy import Row, and_, delete, func, insert, select, update

from foundation import outbox
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import TelegardeError, Unavailable
from pacs.archive import sop_lookup
from pacs.archive.schema import commitment
from pacs.contracts import TOPIC_STORAGE_COMMITMENT_REQUESTED, TOPIC_STORAGE_COMMITMENT_RESULT, InstanceRef

LEASE_S: Final = 120.0
"""How long a commitment in hand is left alone; renewed while instances are read. After a crash it is taken up then."""

RETRY_FIRST_S: Final = 30.0
"""Wait after the first failed report; doubled each time, up to `RETRY_S_MAX`."""

RETRY_S_MAX: Final = 4 * 3600.0
"""So that a modality that is switched off at night gets its answer in the morning."""

ATTEMPTS_MAX: Final = 20
"""Reports tried before giving up: some two days with the waits above. Modalities ask again by themselves before."""

DELIVERED_KEPT_S: Final = 7 * 86_400.0
"""How long a delivered commitment stays visible, after which its row goes: each holds some 100 bytes per instance."""


class State(StrEnum):
    """Where a commitment is."""

    REQUESTED = "requested"
    CHECKED = "checked"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of one instance (PS3.3 Table C.14-1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


class TransactionUidReused(TelegardeError):
    """A peer used a Transaction UID again for other instances; it must be unique (PS3.4 J.3.2.1.1)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that a peer asks about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One instance that is not committed, and why."""

    reference: Reference
    reason: FailureReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The outcome of a check; each reference is in one of both.

    ``study_instance_uids`` are the studies of what was committed, sorted; they are not kept with the outcome.
    """

    committed: tuple[Reference, ...]
    failed: tuple[Failure, ...]
    study_instance_uids: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """One request, as the ledger holds it; `result` is None until it was checked."""

    commitment_pk: int
    transaction_uid: str
    calling_aet: str
    called_aet: str
    references: tuple[Reference, ...] = field(repr=False)
    result: Result | None = field(repr=False)
    attempts: int
    created_at_s: float


class NodeStopping(Unavailable):
    """The node is being stopped: what is in hand is left to the next start."""


class FileReader(Protocol):
    """Where stored bytes are read again (`pacs.archive.reader.PackReader`)."""

    def read_file(self, ref: InstanceRef) -> memoryview:
        """Return the stored Part 10 file.

        Raises
        ------
        foundation.errors.Unavailable
            If it cannot be read as it was stored.
        """


def check(
    database: Database,
    reader: FileReader,
    references: Sequence[Reference],
    *,
    before_each: Callable[[], None] = lambda: None,
) -> Result:
    """Find and re-read every instance.

    Parameters
    ----------
    before_each : callable
        Called before each instance is read; what it raises ends the check.

    Returns
    -------
    Result
        In the order asked. An instance stored under several series is committed only if each copy is sound.

    Raises
    ------
    foundation.database.DatabaseAway
        Then nothing is known about any instance.
    """
    found = sop_lookup.find(database, (reference.sop_instance_uid for reference in references))
    committed: list[Reference] = []
    failed: list[Failure] = []
    studies: set[str] = set()
    for reference in references:
        before_each()
        reason = _why_not(reader, reference, found[reference.sop_instance_uid])
        if reason is None:
            committed.append(reference)
            studies.update(ref.study_instance_uid for ref in found[reference.sop_instance_uid])
        else:
            failed.append(Failure(reference, reason))
    return Result(committed=tuple(committed), failed=tuple(failed), study_instance_uids=tuple(sorted(studies)))


def _why_not(reader: FileReader, reference: Reference, stored: Sequence[InstanceRef]) -> FailureReason | None:
    if not stored:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if any(ref.sop_class_uid != reference.sop_class_uid for ref in stored):
        return FailureReason.CLASS_INSTANCE_CONFLICT
    if not all(_is_sound(reader, ref) for ref in stored):
        return FailureReason.PROCESSING_FAILURE
    return None


def _is_sound(reader: FileReader, ref: InstanceRef) -> bool:
    try:
        file = reader.read_file(ref)
    except Unavailable:
        return False
    # Compared here too: a promise must not hang on a reader's word.
    return len(file) == ref.length_bytes and xxhash.xxh3_128_digest(file[ref.dataset_offset :]) == ref.digest


class Ledger:
    """Keeps commitments in the database; safe to use from several processes.

    Parameters
    ----------
    database : Database
    clock : Clock
        For due times.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def record(
        self, *, transaction_uid: str, calling_aet: str, called_aet: str, references: Sequence[Reference]
    ) -> Commitment:
        """Keep a request, on disk when this returns; the caller holds its lease.

        The same request again begins anew: whoever asks twice has not heard the answer.

        Raises
        ------
        TransactionUidReused
            If the peer used this Transaction UID for other instances; nothing is changed.
        foundation.database.DatabaseAway
            Then nothing may be promised.
        """
        now_s = self._now_s()
        values = {
            "called_aet": called_aet,
            "state": State.REQUESTED,
            "requested": _references_to_json(references),
            "result": None,
            "attempts": 1,
            "next_attempt_at_s": now_s + LEASE_S,
            "created_at_s": now_s,
        }
        same = and_(commitment.c.calling_aet == calling_aet, commitment.c.transaction_uid == transaction_uid)
        with self.database.write(durable=True) as connection:
            known = connection.execute(select(commitment).where(same)).one_or_none()
            if known is None:
                key = {"calling_aet": calling_aet, "transaction_uid": transaction_uid}
                statement = insert(commitment).values(**key, **values).returning(commitment)
            elif set(_references_from_json(known.requested)) != set(references):
                raise TransactionUidReused("this Transaction UID was used for other instances before")
            else:
                statement = update(commitment).where(same).values(**values).returning(commitment)  # type: ignore[assignment]  # one or the other
            return _commitment(connection.execute(statement).one())

    def renew(self, kept: Commitment) -> None:
        """Hold the lease for longer."""
        self._change(kept, next_attempt_at_s=self._now_s() + LEASE_S)

    def keep_result(self, kept: Commitment, result: Result) -> None:
        """Keep the outcome of a check, and state it in the outbox; and that all of what was asked for is here."""
        fact = {
            "transaction_uid": kept.transaction_uid,
            "calling_aet": kept.calling_aet,
            "committed": len(result.committed),
            "failed": len(result.failed),
        }
        with self.database.write() as connection:
            changed = connection.execute(
                update(commitment)
                .where(_same_request(kept), commitment.c.state == State.REQUESTED)
                .values(
                    state=State.CHECKED,
                    result=_result_to_json(result),
                    next_attempt_at_s=self._now_s() + LEASE_S,
                )
            )
            if changed.rowcount:
                outbox.append(connection, TOPIC_STORAGE_COMMITMENT_RESULT, fact, created_at_s=self._now_s())
                if result.study_instance_uids and not result.failed:
                    asked = {
                        "transaction_uid": kept.transaction_uid,
                        "calling_aet": kept.calling_aet,
                        "study_instance_uids": list(result.study_instance_uids),
                        "count": len(result.committed),
                    }
                    outbox.append(connection, TOPIC_STORAGE_COMMITMENT_REQUESTED, asked, created_at_s=self._now_s())

    def delivered(self, kept: Commitment) -> None:
        """Note that the peer has taken the report."""
        self._change(kept, state=State.DELIVERED)

    def hand_over(self, kept: Commitment) -> None:
        """Give up the lease: the relay takes the commitment at its next turn."""
        self._change(kept, next_attempt_at_s=self._now_s())

    def failed(self, kept: Commitment) -> State:
        """Note that a report did not get through; return the state from now on."""
        if kept.attempts >= ATTEMPTS_MAX:
            self._change(kept, state=State.GIVEN_UP)
            return State.GIVEN_UP
        self._change(kept, next_attempt_at_s=self._now_s() + retry_delay_s(kept.attempts))
        return State.REQUESTED if kept.result is None else State.CHECKED

    def claim_due(self, *, but_not_for: Collection[str] = ()) -> Commitment | None:
        """Return the commitment that has been due for longest, with its lease and one attempt more; None when none is.

        Parameters
        ----------
        but_not_for : collection of str
            Calling AE titles to pass over.
        """
        now_s = self._now_s()
        due = (
            select(commitment.c.commitment_pk)
            .where(
                commitment.c.state.in_([State.REQUESTED, State.CHECKED]),
                commitment.c.next_attempt_at_s <= now_s,
                commitment.c.calling_aet.not_in(but_not_for),
            )
            .order_by(commitment.c.next_attempt_at_s, commitment.c.commitment_pk)
            .limit(1)
        )
        with self.database.read() as connection:
            if connection.execute(due).first() is None:
                return None
        with self.database.write() as connection:
            claimed = connection.execute(
                update(commitment)
                .where(commitment.c.commitment_pk == due.scalar_subquery())
                .values(next_attempt_at_s=now_s + LEASE_S, attempts=commitment.c.attempts + 1)
                .returning(commitment)
            ).one_or_none()
            return None if claimed is None else _commitment(claimed)

    def counts(self) -> dict[str, int]:
        """Return how many commitments are in each state; those given up stay until somebody acts."""
        query = select(commitment.c.state, func.count().label("requests")).group_by(commitment.c.state)
        with self.database.read() as connection:
            found = {row.state: row.requests for row in connection.execute(query)}
        return {state.value: found.get(state, 0) for state in State}

    def purge(self) -> int:
        """Remove commitments delivered long ago; return how many."""
        long_ago_s = self._now_s() - DELIVERED_KEPT_S
        old = and_(commitment.c.state == State.DELIVERED, commitment.c.created_at_s < long_ago_s)
        with self.database.read() as connection:
            if connection.execute(select(commitment.c.commitment_pk).where(old).limit(1)).first() is None:
                return 0
        with self.database.write() as connection:
            return int(connection.execute(delete(commitment).where(old)).rowcount)

    def _change(self, kept: Commitment, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(update(commitment).where(_same_request(kept)).values(**values))

    def _now_s(self) -> float:
        return self.clock.now().timestamp()


def examine(ledger: Ledger, reader: FileReader, kept: Commitment, *, is_stopping: Callable[[], bool]) -> Commitment:
    """Check a commitment under its lease and keep the outcome; return it with the outcome.

    Raises
    ------
    NodeStopping
        When `is_stopping` says so: there is no outcome.
    foundation.database.DatabaseAway
        There is no outcome.
    """
    renewed_at_s = ledger.clock.monotonic_s()

    def before_each() -> None:
        nonlocal renewed_at_s
        if is_stopping():
            raise NodeStopping("the node is being stopped; the commitment is checked after the next start")
        if ledger.clock.monotonic_s() - renewed_at_s > LEASE_S / 4:
            ledger.renew(kept)
            renewed_at_s = ledger.clock.monotonic_s()

    result = check(ledger.database, reader, kept.references, before_each=before_each)
    ledger.keep_result(kept, result)
    return replace(kept, result=result)


def retry_delay_s(attempts: int) -> float:
    """Return the wait after so many attempts (1 or more), in seconds."""
    return float(min(RETRY_FIRST_S * 2 ** (attempts - 1), RETRY_S_MAX))


def _same_request(kept: Commitment) -> Any:
    # A request that was made again is another one: what is known about the first must not be told of it.
    return and_(commitment.c.commitment_pk == kept.commitment_pk, commitment.c.created_at_s == kept.created_at_s)


def _commitment(row: Row[Any]) -> Commitment:
    return Commitment(
        commitment_pk=row.commitment_pk,
        transaction_uid=row.transaction_uid,
        calling_aet=row.calling_aet,
        called_aet=row.called_aet,
        references=tuple(_references_from_json(row.requested)),
        result=None if row.result is None else _result_from_json(row.result),
        attempts=row.attempts,
        created_at_s=row.created_at_s,
    )


def _references_to_json(references: Iterable[Reference]) -> str:
    return json.dumps([[ref.sop_class_uid, ref.sop_instance_uid] for ref in references], separators=(",", ":"))


def _references_from_json(text: str) -> list[Reference]:
    return [Reference(sop_class_uid, sop_instance_uid) for sop_class_uid, sop_instance_uid in json.loads(text)]


def _result_to_json(result: Result) -> str:
    whole = {
        "committed": [[ref.sop_class_uid, ref.sop_instance_uid] for ref in result.committed],
        "failed": [
            [failure.reference.sop_class_uid, failure.reference.sop_instance_uid, int(failure.reason)]
            for failure in result.failed
        ],
    }
    return json.dumps(whole, separators=(",", ":"))


def _result_from_json(text: str) -> Result:
    whole = json.loads(text)
    return Result(
        committed=tuple(Reference(*pair) for pair in whole["committed"]),
        failed=tuple(
            Failure(Reference(sop_class_uid, sop_instance_uid), FailureReason(reason))
            for sop_class_uid, sop_instance_uid, reason in whole["failed"]
        ),
    )
