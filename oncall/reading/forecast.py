"""Every minute: will the hour hold, and who must be called, kept or let go so that it does?

The forecast plays the next hour by expected times: the cases that wait and those still to come, with and without one
more reader. A backup is called when that avoids enough breaches to be worth their paid hour, and kept for another
while as long as the same is true; who is not kept leaves when their paid time is over. This is the strongest lever
known (§3.6); looking ahead to expected arrivals makes the call come before the queue is long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from oncall.directory import Directory, LineId, PersonId
from oncall.reading.board import Board, CallableBackup, Reader, Urgency
from oncall.reading.eligibility import first_broken
from oncall.reading.expected_arrivals import expected_arrivals
from oncall.reading.order import Waiting
from oncall.reading.planning import PlannedRead, Seat, list_schedule, planned, queue_of, seats_of
from oncall.reading.policy import ReadingPolicy


class Reason(StrEnum):
    """What the forecast concluded about calling somebody."""

    HOLDS = "holds"
    WOULD_NOT_HELP = "call_would_not_help"
    CALLS = "call_avoids_breaches"
    NOBODY_TO_CALL = "nobody_to_call"
    BACKUPS_PRESENT = "backups_present"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupCall:
    """Call this person now; `breaches_avoided` is the harm of the next hour (`Outlook.harm`) that justifies it."""

    person_id: PersonId
    line_id: LineId
    arrives_at_s: float
    paid_until_s: float
    breaches_avoided: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupStay:
    """Keep a called reader until `until_s`, later than was planned."""

    person_id: PersonId
    until_s: float
    breaches_avoided: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What will happen if nobody acts, and what is to be done about it.

    ``breaches`` are the open cases predicted to be late; `expected_breaches` counts cases still to come besides.
    ``call`` is at most one call a minute; ``stays`` change the ``off_duty_at_s`` of called readers. ``refusals`` say by
    which rule somebody on a backup line may not be called, when a call was wanted.
    """

    at_s: float
    breaches: tuple[PlannedRead, ...]
    expected_breaches: float
    call: BackupCall | None
    stays: tuple[BackupStay, ...]
    refusals: tuple[tuple[PersonId, str], ...]
    reason: Reason
    policy_version: str


def forecast(board: Board, directory: Directory, policy: ReadingPolicy) -> Forecast:
    """Return the forecast of `board`: pure, to be asked once a minute."""
    ahead = _Ahead(board, directory, policy)
    alone = ahead.outlook()
    call, reason = _call(board, ahead, alone.harm, policy)
    is_wanted = reason in (Reason.CALLS, Reason.NOBODY_TO_CALL)
    return Forecast(
        at_s=board.now_s,
        breaches=alone.late,
        expected_breaches=alone.breaches,
        call=call,
        stays=_stays(board, ahead, alone.harm, policy),
        refusals=tuple((each.person_id, each.refusal) for each in board.backups if each.refusal) if is_wanted else (),
        reason=reason,
        policy_version=policy.version,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What the next hour brings with one crew: late cases by name, their number with those still to come, and the harm.

    ``harm`` counts a late case as one and an hour beyond the guard as `BackupRules.overdue_weight`: when so much waits
    that all of it will be late, one more reader is worth as much as ever.
    """

    late: tuple[PlannedRead, ...]
    breaches: float
    harm: float


class _Ahead:
    """The next hour as it is expected: the queue and the cases still to come, scheduled with one crew or another."""

    def __init__(self, board: Board, directory: Directory, policy: ReadingPolicy) -> None:
        self._directory = directory
        self._policy = policy
        self._seats, claimed = seats_of(board, policy)
        self._late = tuple(read for read in claimed if read.is_breach)
        self._queue = queue_of(board, self._seats, directory, policy)
        # While nobody waits, whoever comes is read at once: there is nothing to look ahead to.
        self._coming = _expected(board, policy) if self._queue else ()
        self._guard_s = policy.order.guard_s
        self._bit_of_called = 1 << len(board.readers)

    def readable_by(self, reader: Reader) -> tuple[bool, ...]:
        """Return which waiting cases somebody who is not on the board might read."""
        return tuple(
            each.case is not None and first_broken(each.case, reader, self._directory, self._policy) is None
            for each in self._queue
        )

    def outlook(self, *, called: Reader | None = None, kept: Reader | None = None) -> Outlook:
        """Return what becomes of the open and the expected cases.

        Parameters
        ----------
        called : Reader, optional
            Somebody who comes besides.
        kept : Reader, optional
            A reader of the board with another end of duty.
        """
        seats = [_copied(seat, kept) for seat in self._seats]
        if called is not None:
            seats.append(Seat(called, called.on_duty_from_s, self._bit_of_called))
            for each, is_readable in zip(self._queue, self.readable_by(called), strict=True):
                each.seats = each.seats | self._bit_of_called if is_readable else each.seats & ~self._bit_of_called
        late: list[PlannedRead] = []
        begun = held = 0
        overdue_s = 0.0

        def placed(each: Waiting, seat: Seat, _rivals: Sequence[Seat]) -> bool:
            nonlocal begun, held, overdue_s
            begun += 1
            done_s = seat.free_at_s + each.expected_s
            if done_s <= each.deadline_at_s:
                held += 1
                return False
            overdue_s += max(0.0, done_s - each.ready_s - self._guard_s)
            if each.case is not None:
                late.append(planned(each, seat))
            return False

        list_schedule(self._queue, seats, placed, coming=self._coming)
        every = len(self._queue) + len(self._coming)
        never_s = (every - begun) * self._policy.backup.horizon_s
        return Outlook(
            late=(*self._late, *late),
            breaches=float(every - held),
            harm=every - held + self._policy.backup.overdue_weight * (overdue_s + never_s) / 3600.0,
        )


def _expected(board: Board, policy: ReadingPolicy) -> tuple[Waiting, ...]:
    exam = policy.backup.expected_exam
    return tuple(
        Waiting(
            None,
            exam=exam,
            ready_s=ready_s,
            deadline_at_s=ready_s + policy.deadline_s[Urgency.P2],
            expected_s=policy.expected_s(exam),
            policy=policy,
            seats=-1,
        )
        for ready_s in expected_arrivals(
            policy.arrivals, board.now_s, board.utc_offset_s, board.ready_times_s, policy.backup.horizon_s
        )
    )


def _copied(seat: Seat, kept: Reader | None) -> Seat:
    is_kept = kept is not None and kept.person_id == seat.reader.person_id
    return Seat(kept if kept is not None and is_kept else seat.reader, seat.free_at_s, seat.bit)


def _call(board: Board, ahead: _Ahead, harm: float, policy: ReadingPolicy) -> tuple[BackupCall | None, Reason]:
    rules = policy.backup
    if harm < rules.call_avoids_min:
        return None, Reason.HOLDS
    if sum(1 for reader in board.readers if reader.is_backup) >= rules.present_max:
        return None, Reason.BACKUPS_PRESENT
    legal = [backup for backup in board.backups if not backup.refusal]
    if not legal:
        return None, Reason.NOBODY_TO_CALL
    tried: set[tuple[bool, ...]] = set()
    for backup in legal:
        reader = _arrived(backup, board.now_s)
        can_read = ahead.readable_by(reader)
        # Colleagues who may read the same cases would help as much.
        if can_read in tried:
            continue
        tried.add(can_read)
        avoided = harm - ahead.outlook(called=reader).harm
        if avoided >= rules.call_avoids_min:
            return BackupCall(
                person_id=backup.person_id,
                line_id=backup.line_id,
                arrives_at_s=reader.on_duty_from_s,
                paid_until_s=reader.off_duty_at_s,
                breaches_avoided=avoided,
            ), Reason.CALLS
    return None, Reason.WOULD_NOT_HELP


def _stays(board: Board, ahead: _Ahead, harm: float, policy: ReadingPolicy) -> tuple[BackupStay, ...]:
    rules = policy.backup
    stays = []
    for reader in board.readers:
        left_s = reader.off_duty_at_s - board.now_s
        if not reader.is_backup or not 0.0 < left_s <= rules.decided_before_s:
            continue
        kept = replace(reader, off_duty_at_s=reader.off_duty_at_s + rules.extension_s)
        avoided = harm - ahead.outlook(kept=kept).harm
        if avoided >= rules.extension_avoids_min:
            stays.append(BackupStay(person_id=reader.person_id, until_s=kept.off_duty_at_s, breaches_avoided=avoided))
    return tuple(stays)


def _arrived(backup: CallableBackup, now_s: float) -> Reader:
    arrives_at_s = now_s + backup.arrival_s
    return Reader(
        person_id=backup.person_id,
        on_duty_from_s=arrives_at_s,
        off_duty_at_s=arrives_at_s + backup.paid_s_min,
        is_backup=True,
    )
