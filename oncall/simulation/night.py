"""The world of one night: readers who open what they are given and take their true time, and a clock without waiting.

For: running anything that can play `OnCall` through a night. Not for: deciding; which case is opened and who is
called is asked of the `OnCall`, which is never told a true reading time.

Invariants: a case is opened once, not before its images; a reader reads one case at a time, without a break in it,
and begins none after their duty; a backup begins no sooner than `BACKUP_ARRIVES_MIN` after the call and is paid for
at least `BACKUP_PAID_MIN`, and until what they read is done. Times are exact decimal minutes after 00:00 of the
evening's day.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from enum import IntEnum
from typing import Final, Protocol

from oncall.simulation.arrivals import NIGHT_ENDS_MIN, NIGHT_STARTS_MIN, READERS_CHANGE_MIN, ArrivedCase, Night
from oncall.simulation.perturbations import DropOut, Silence

BACKUP_ARRIVES_MIN: Final = Decimal(15)
BACKUP_PAID_MIN: Final = Decimal(60)

# What is left in the morning is read by as many of the day's readers, who take the same chairs, however long it takes;
# the bound that results are compared with has the same chairs.
CHAIRS_END_MIN: Final = NIGHT_ENDS_MIN + 60 * 1440

# Enough for sums of any times that a file may hold to be exact.
_DIGITS: Final = 60

# The forecast is asked this often.
_MINUTE: Final = Decimal(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Duty:
    """A reader's time at the reading station; `called_min` is set for a backup."""

    person: str
    from_min: Decimal
    until_min: Decimal
    called_min: Decimal | None = None

    @property
    def is_backup(self) -> bool:
        """Tell whether they were called in."""
        return self.called_min is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Staffing:
    """How many read until `READERS_CHANGE_MIN` and from then on, and how many are at home and may be called."""

    evening: int
    deep_night: int
    callable_backups: int = 4

    def duties(self) -> tuple[Duty, ...]:
        """Return who reads when; who leaves at the change has the highest numbers."""
        stays = min(self.evening, self.deep_night)
        spans = [(NIGHT_STARTS_MIN, CHAIRS_END_MIN)] * stays
        spans += [(NIGHT_STARTS_MIN, READERS_CHANGE_MIN)] * (self.evening - stays)
        spans += [(READERS_CHANGE_MIN, CHAIRS_END_MIN)] * (self.deep_night - stays)
        return tuple(
            Duty(person=f"reader-{number}", from_min=start, until_min=end)
            for number, (start, end) in enumerate(spans, start=1)
        )

    def backups(self) -> tuple[str, ...]:
        """Return who may be called, in order; who was sent home may be called again."""
        return tuple(f"backup-{number}" for number in range(1, self.callable_backups + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupOrders:
    """What the forecast wants: whom to call now, and until when called ones stay (not before what is paid anyway)."""

    calls: tuple[str, ...] = ()
    until_min: Mapping[str, Decimal] = field(default_factory=dict)


class OnCall(Protocol):
    """What is asked and told through a night; `now_min` never goes back."""

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        """A case is ready to be read."""

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        """A reader's duty begins."""

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """A reader's duty is over; a case they have open they finish."""

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        """Return the case that this free reader opens now, which is theirs from here on; None to wait."""

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        """A report is signed; its reader is free again."""

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        """A reader's line is dead; the case they had open, if any, must be read by another from its beginning."""

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Return what the forecast of this minute orders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseOutcome:
    """When and by whom a case was read; somebody called for the second time in a night is named ``backup-1/2``."""

    case_id: str
    start_min: Decimal
    done_min: Decimal
    reader: str
    is_backup: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupDuty:
    """One call: when, from when they read, and until when they were paid."""

    reader: str
    called_min: Decimal
    arrived_min: Decimal
    released_min: Decimal

    @property
    def paid_min(self) -> Decimal:
        """Minutes paid: from arrival to release, which is at least `BACKUP_PAID_MIN`."""
        return self.released_min - self.arrived_min


@dataclass(frozen=True, kw_only=True, slots=True)
class NightResult:
    """What became of every case (in the night's order) and of every backup call."""

    outcomes: tuple[CaseOutcome, ...]
    backups: tuple[BackupDuty, ...]

    @property
    def backup_hours(self) -> float:
        """Hours paid to backups."""
        return float(sum((backup.paid_min for backup in self.backups), Decimal(0))) / 60


class _Kind(IntEnum):
    """What happens first where several things happen at once."""

    SIGNED = 0
    ON_DUTY = 1
    OFF_DUTY = 2
    LOST = 3
    IMAGES_COMPLETE = 4
    MINUTE = 5


@dataclass(kw_only=True, slots=True)
class _Seat:
    """A reader on duty, or finishing; `label` tells several calls of one person apart."""

    duty: Duty
    label: str
    until_min: Decimal
    free_since_min: Decimal
    reads: str | None = None
    is_lost: bool = False
    last_done_min: Decimal | None = None


class _World:
    """The state of one night while it runs."""

    def __init__(
        self, night: Night, staffing: Staffing, oncall: OnCall, silence: Silence | None, drop_outs: Sequence[DropOut]
    ) -> None:
        self._oncall = oncall
        self._silence = silence
        self._night = night
        self._cases = {case.arrived.case_id: case for case in night.cases}
        self._waiting: set[str] = set()
        self._outcomes: dict[str, CaseOutcome] = {}
        self._seats: dict[str, _Seat] = {}
        self._calls = dict.fromkeys(staffing.backups(), 0)
        self._coming: set[str] = set()
        self._released: list[_Seat] = []
        self._queue: list[tuple[Decimal, _Kind, int, object]] = []
        self._sequence = 0
        for duty in staffing.duties():
            self._at(duty.from_min, _Kind.ON_DUTY, duty)
        # Not in the order of the night's list, which may be a file's: two who arrive at once come by their names.
        for case in sorted(night.cases, key=lambda case: (case.arrived.ready_min, case.arrived.case_id)):
            self._at(case.arrived.ready_min, _Kind.IMAGES_COMPLETE, case.arrived)
        for drop_out in drop_outs:
            self._at(drop_out.at_min, _Kind.LOST, drop_out)
        self._at(NIGHT_STARTS_MIN, _Kind.MINUTE, None)

    def _at(self, when_min: Decimal, kind: _Kind, what: object) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (when_min, kind, self._sequence, what))

    def run(self) -> NightResult:
        """Let everything happen in order until every case is signed and every backup has gone."""
        while self._queue:
            now_min = self._queue[0][0]
            while self._queue and self._queue[0][0] == now_min:
                _, kind, _, what = heapq.heappop(self._queue)
                self._happen(kind, what, now_min)
            self._open_cases(now_min)
        missing = [case_id for case_id in self._cases if case_id not in self._outcomes]
        assert not missing, f"never opened: {missing}"
        return NightResult(
            outcomes=tuple(self._outcomes[case.arrived.case_id] for case in self._night.cases),
            backups=tuple(sorted(map(_paid, self._released), key=lambda backup: (backup.called_min, backup.reader))),
        )

    def _happen(self, kind: _Kind, what: object, now_min: Decimal) -> None:
        if isinstance(what, ArrivedCase):
            self._waiting.add(what.case_id)
            self._oncall.images_complete(what, now_min)
        elif isinstance(what, _Seat):
            self._sign(what, now_min)
        elif isinstance(what, Duty):
            self._coming.discard(what.person)
            calls = self._calls.get(what.person, 0)
            label = what.person if calls < 2 else f"{what.person}/{calls}"
            self._seats[what.person] = _Seat(duty=what, label=label, until_min=what.until_min, free_since_min=now_min)
            self._awake(what.person, now_min)
            self._oncall.on_duty(what, now_min)
            if what.until_min < CHAIRS_END_MIN:
                self._at(what.until_min, _Kind.OFF_DUTY, what.person)
        elif isinstance(what, DropOut):
            self._lose(what.person, now_min)
        elif kind is _Kind.OFF_DUTY:
            self._end_duty(str(what), now_min)
        else:
            self._minute(now_min)

    def _sign(self, seat: _Seat, now_min: Decimal) -> None:
        case_id = seat.reads
        if seat.is_lost or case_id is None:
            return
        seat.reads, seat.free_since_min, seat.last_done_min = None, now_min, now_min
        self._awake(seat.duty.person, now_min)
        self._oncall.signed(case_id, seat.duty.person, now_min)
        if now_min >= seat.until_min:
            self._leave(seat)

    def _lose(self, person: str, now_min: Decimal) -> None:
        seat = self._seats.pop(person, None)
        if seat is None:
            return
        seat.is_lost = True
        if seat.duty.is_backup:
            self._released.append(seat)
        if seat.reads is not None:
            del self._outcomes[seat.reads]
            self._waiting.add(seat.reads)
        self._oncall.lost(person, seat.reads, now_min)

    def _awake(self, person: str, now_min: Decimal) -> None:
        if self._silence is not None:
            self._silence.worked(person, now_min)

    def _end_duty(self, person: str, now_min: Decimal) -> None:
        seat = self._seats.get(person)
        # A backup may have been kept longer, or sent home, since this was planned.
        if seat is None or now_min != seat.until_min:
            return
        self._oncall.off_duty(person, now_min)
        if seat.reads is None:
            self._leave(seat)

    def _leave(self, seat: _Seat) -> None:
        del self._seats[seat.duty.person]
        if seat.duty.is_backup:
            self._released.append(seat)

    def _minute(self, now_min: Decimal) -> None:
        orders = self._oncall.minute(now_min)
        for person in orders.calls:
            assert person not in self._coming, f"{person} is coming already"
            assert person not in self._seats, f"{person} is there already"
            self._calls[person] += 1
            self._coming.add(person)
            arrives_min = now_min + BACKUP_ARRIVES_MIN
            duty = Duty(
                person=person, from_min=arrives_min, until_min=arrives_min + BACKUP_PAID_MIN, called_min=now_min
            )
            self._at(arrives_min, _Kind.ON_DUTY, duty)
        for person, until_min in orders.until_min.items():
            self._stay(person, until_min, now_min)
        is_over = now_min >= NIGHT_ENDS_MIN and len(self._outcomes) == len(self._cases)
        if not is_over and now_min < CHAIRS_END_MIN:
            self._at(now_min + _MINUTE, _Kind.MINUTE, None)

    def _stay(self, person: str, until_min: Decimal, now_min: Decimal) -> None:
        """Let a backup on duty stay until another time: not before now, and not before the paid time is over."""
        seat = self._seats[person]
        assert seat.duty.is_backup, f"{person} is on the roster until {seat.until_min}"
        paid_until_min = seat.duty.from_min + BACKUP_PAID_MIN
        seat.until_min = max(until_min, now_min, paid_until_min)
        self._at(seat.until_min, _Kind.OFF_DUTY, person)

    def _open_cases(self, now_min: Decimal) -> None:
        """Let every free reader on duty open what they are given, who has been free the longest first."""
        free = [seat for seat in self._seats.values() if seat.reads is None and now_min < seat.until_min]
        for seat in sorted(free, key=lambda seat: (seat.free_since_min, seat.duty.person)):
            if not self._waiting:
                return
            if self._silence is not None and self._silence.is_dozing(seat.duty.person, now_min):
                continue
            case_id = self._oncall.next_case(seat.duty.person, now_min)
            if case_id is None:
                continue
            self._waiting.remove(case_id)
            self._awake(seat.duty.person, now_min)
            seat.reads = case_id
            done_min = now_min + self._cases[case_id].read_min
            self._outcomes[case_id] = CaseOutcome(
                case_id=case_id,
                start_min=now_min,
                done_min=done_min,
                reader=seat.label,
                is_backup=seat.duty.is_backup,
            )
            self._at(done_min, _Kind.SIGNED, seat)


def _paid(seat: _Seat) -> BackupDuty:
    assert seat.duty.called_min is not None
    return BackupDuty(
        reader=seat.label,
        called_min=seat.duty.called_min,
        arrived_min=seat.duty.from_min,
        released_min=max(seat.until_min, seat.last_done_min or seat.until_min),
    )


def simulate(
    night: Night,
    staffing: Staffing,
    oncall: OnCall,
    *,
    silence: Silence | None = None,
    drop_outs: Sequence[DropOut] = (),
) -> NightResult:
    """Run one night to its end: every case is read, by the day's readers if need be.

    Parameters
    ----------
    silence : Silence, optional
        Who sleeps and what they hear; whoever pages asks the same one.
    drop_outs : sequence of DropOut
        Readers who are lost; those who are not there then are not.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        return _World(night, staffing, oncall, silence, drop_outs).run()
