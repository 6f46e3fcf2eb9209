"""The engine's reading, roster and law code as the `OnCall` of a simulated night: the fast way to play one.

For: `simulate` of `oncall.simulation.night`. Not for: rules; whatever is decided is decided by `oncall.reading`, who is
there by `oncall.rota`. What it adds is what the engine's shell does at a hospital: it keeps the board up to date and
hands it over. Times on the board are seconds since 1970 UTC (`oncall.simulation.staff`).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from oncall.case.event import CaseId
from oncall.directory import LineId, PersonId, SiteId
from oncall.reading.assignment import AssignmentDecision, decide, next_case
from oncall.reading.board import Board, CallableBackup, Reader, ReadyCase
from oncall.reading.forecast import Forecast, forecast
from oncall.reading.policy import DEFAULT, ReadingPolicy
from oncall.reading.triage import RequestFacts, triage
from oncall.rota import legal
from oncall.rota.model import LineKind
from oncall.simulation.arrivals import ArrivedCase, Night
from oncall.simulation.night import (
    BACKUP_ARRIVES_MIN,
    BACKUP_PAID_MIN,
    BackupOrders,
    Duty,
    NightResult,
    Staffing,
    simulate,
)
from oncall.simulation.staff import UTC_OFFSET_S, at_min, at_s, instant, roster, territory, timeline
from oncall.spans import Span


class ReadingOnCall:
    """Keeps the board of one night and asks `oncall.reading` what to do.

    Parameters
    ----------
    staffing : Staffing
        Who is on the roster, and on its backup lines.
    sites : iterable of str
        The hospitals that everybody reads for.
    """

    def __init__(self, staffing: Staffing, sites: Iterable[str], policy: ReadingPolicy) -> None:
        self._directory = territory(staffing, sites)
        self._roster = roster(staffing)
        self._timeline = timeline(self._roster, self._directory)
        self._lines = {line.line_id: line for line in self._roster.lines}
        self._limits = legal.LegalLimits()
        self._policy = policy
        self._cases: dict[str, ReadyCase] = {}
        # Everybody on duty, and whose duty is known to begin.
        self._readers: dict[str, Reader] = {
            shift.person_id: Reader(
                person_id=shift.person_id,
                on_duty_from_s=shift.span.start.timestamp(),
                off_duty_at_s=shift.span.end.timestamp(),
            )
            for shift in self._timeline.shifts
            if self._lines[shift.line_id].kind is LineKind.DUTY
        }
        self._backups = [
            CallableBackup(
                person_id=shift.person_id,
                line_id=shift.line_id,
                arrival_s=float(BACKUP_ARRIVES_MIN * 60),
                paid_s_min=float(BACKUP_PAID_MIN * 60),
            )
            for shift in self._timeline.shifts
            if self._lines[shift.line_id].kind is LineKind.BACKUP
        ]
        self._ready_times_s: tuple[float, ...] = ()
        self.decisions: list[AssignmentDecision] = []
        self.forecasts: list[Forecast] = []

    def images_complete(self, case: ArrivedCase, now_min: Decimal) -> None:
        """Triage the case, put it on the board and give it to somebody."""
        now_s = at_s(now_min)
        asked = triage(RequestFacts(exam=case.exam, requested=case.urgency, at_s=now_s), self._policy)
        self._cases[case.case_id] = ReadyCase(
            case_id=CaseId(case.case_id),
            site_id=SiteId(case.site),
            urgency=asked.urgency,
            exam=case.exam,
            needs=asked.needs,
            ready_at_s=now_s,
            deadline_at_s=now_s + asked.deadline_s,
            target_at_s=now_s + asked.target_s,
            expected_read_s=self._policy.expected_s(case.exam),
        )
        self._ready_times_s = (*self._ready_times_s, now_s)
        self._assign(now_s)

    def on_duty(self, duty: Duty, now_min: Decimal) -> None:
        """Give those who read from now on their share; roster and calls have had them on the board before."""
        assert duty.person in self._readers, f"{duty.person} is neither on the roster nor called"
        self._assign(at_s(now_min))

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """Take a reader off the board and give what was on their list to others."""
        if not self._readers[person].is_backup:
            del self._readers[person]
        self._assign(at_s(now_min))

    def next_case(self, person: str, now_min: Decimal) -> str | None:
        """Ask which case this reader opens, and note that they have."""
        now_s = at_s(now_min)
        decision = next_case(self._board(now_s), PersonId(person), self._directory, self._policy)
        if decision is None:
            return None
        self.decisions.append(decision)
        case = self._cases[decision.case_id]
        self._cases[decision.case_id] = replace(
            case, assigned_to=PersonId(person), claimed_by=PersonId(person), claimed_at_s=now_s
        )
        return decision.case_id

    def signed(self, case_id: str, person: str, now_min: Decimal) -> None:
        """Take the case off the board and count what its reader has read."""
        case = self._cases.pop(case_id)
        reader = self._readers.get(person)
        if reader is not None and case.claimed_at_s is not None:
            self._readers[person] = replace(
                reader,
                read_s=reader.read_s + at_s(now_min) - case.claimed_at_s,
                cases_read=reader.cases_read + 1,
            )

    def lost(self, person: str, case_id: str | None, now_min: Decimal) -> None:
        """Take a reader off the board, and put the case that they had open back on it."""
        del self._readers[person]
        if case_id is not None:
            case = self._cases[case_id]
            self._cases[case_id] = replace(case, assigned_to=None, claimed_by=None, claimed_at_s=None)
        self._assign(at_s(now_min))

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Ask the forecast whom to call and until when the called ones stay."""
        now_s = at_s(now_min)
        board = self._board(now_s)
        if not board.cases and not any(reader.is_backup for reader in board.readers):
            # As the engine does: nothing is open, and nobody is to be kept or let go.
            return BackupOrders()
        found = forecast(board, self._directory, self._policy)
        if found.call is not None:
            # The law is asked only now: in most minutes nobody is wanted.
            found = forecast(self._with_refusals(board, now_min), self._directory, self._policy)
        calls: tuple[str, ...] = ()
        if found.call is not None:
            self.forecasts.append(found)
            calls = (found.call.person_id,)
            self._readers[found.call.person_id] = Reader(
                person_id=found.call.person_id,
                on_duty_from_s=found.call.arrives_at_s,
                off_duty_at_s=found.call.paid_until_s,
                is_backup=True,
            )
        until_min = {}
        for stay in found.stays:
            reader = self._readers[stay.person_id]
            self._readers[stay.person_id] = replace(reader, off_duty_at_s=stay.until_s)
            until_min[str(stay.person_id)] = at_min(stay.until_s)
        self._release(now_s)
        return BackupOrders(calls=calls, until_min=until_min)

    def _release(self, now_s: float) -> None:
        """Let called readers go whose time is over and who have nothing open; from now on they may be called again."""
        busy = {case.claimed_by for case in self._cases.values()}
        for person, reader in list(self._readers.items()):
            if reader.is_backup and reader.off_duty_at_s <= now_s and person not in busy:
                del self._readers[person]

    def _with_refusals(self, board: Board, now_min: Decimal) -> Board:
        """Return the board on which it stands who may not be called, and by which rule."""
        return replace(
            board,
            backups=tuple(
                replace(backup, refusal=self._refusal(backup.person_id, backup.line_id, now_min))
                for backup in board.backups
            ),
        )

    def _refusal(self, person_id: PersonId, line_id: LineId, now_min: Decimal) -> str:
        start = instant(now_min + BACKUP_ARRIVES_MIN)
        broken = legal.may_add(
            person_id,
            Span(start=start, end=start + timedelta(minutes=int(BACKUP_PAID_MIN))),
            # Called in, they work: the law of rest counts it as duty, not as being at home.
            replace(self._lines[line_id], kind=LineKind.DUTY),
            self._timeline,
            self._roster,
            self._directory,
            self._limits,
            is_emergency=True,
        )
        return broken[0].rule if broken else ""

    def _assign(self, now_s: float) -> None:
        for decision in decide(self._board(now_s), self._directory, self._policy):
            self.decisions.append(decision)
            case = self._cases[decision.case_id]
            self._cases[decision.case_id] = replace(case, assigned_to=decision.person_id, assigned_at_s=now_s)

    def _board(self, now_s: float) -> Board:
        # In the order in which the engine has them.
        return Board(
            now_s=now_s,
            cases=tuple(self._cases.values()),
            readers=tuple(sorted(self._readers.values(), key=lambda reader: (reader.is_backup, reader.person_id))),
            backups=tuple(each for each in self._backups if each.person_id not in self._readers),
            ready_times_s=self._ready_times_s,
            utc_offset_s=UTC_OFFSET_S,
        )


def read_night(night: Night, staffing: Staffing, policy: ReadingPolicy = DEFAULT) -> NightResult:
    """Let the reading code read one night, without silence or drop-outs: everybody is at their station."""
    sites = {case.arrived.site for case in night.cases}
    return simulate(night, staffing, ReadingOnCall(staffing, sites, policy))
