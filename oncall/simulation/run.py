"""The real engine's reading code as the `OnCall` of a simulated night: triage, decide, next_case, forecast.

For: `simulate` of `oncall.simulation.night`. Not for: rules; whatever is decided is decided by `oncall.reading`. What
it adds is what the engine's shell does at a hospital: it keeps the board up to date and hands it over.

Times on the board are seconds since 1970 UTC; 00:00 of the simulated evening's day is `EVENING`.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import (
    Competence,
    Directory,
    LineId,
    Person,
    PersonId,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.reading.assignment import AssignmentDecision, decide, next_case
from oncall.reading.board import Board, CallableBackup, Reader, ReadyCase
from oncall.reading.forecast import Forecast, forecast
from oncall.reading.policy import ReadingPolicy
from oncall.reading.triage import RequestFacts, triage
from oncall.simulation.arrivals import ArrivedCase
from oncall.simulation.night import (
    BACKUP_ARRIVES_MIN,
    BACKUP_PAID_MIN,
    BackupOrders,
    Duty,
    Staffing,
)

# A Friday evening in winter: local time is an hour ahead of UTC, and no clock changes.
EVENING: Final = datetime(2026, 11, 19, 23, tzinfo=UTC)
UTC_OFFSET_S: Final = 3600.0

_BACKUP_LINE: Final = LineId("backup")


def at_s(minutes: Decimal) -> float:
    """Return minutes after 00:00 of the evening's day as seconds since 1970 UTC."""
    return EVENING.timestamp() + float(minutes * 60)


def at_min(instant_s: float) -> Decimal:
    """Return seconds since 1970 UTC as minutes after 00:00 of the evening's day, to the microsecond."""
    return Decimal(round((instant_s - EVENING.timestamp()) * 1_000_000)) / 60_000_000


def territory(staffing: Staffing, sites: Iterable[str]) -> Directory:
    """Return a directory in which everybody of `staffing` may read everything of every site."""
    site_ids = frozenset(SiteId(site) for site in sites)
    names = [duty.person for duty in staffing.duties()] + list(staffing.backups())
    return Directory(
        sites={
            site_id: Site(site_id=site_id, name=site_id, time_zone="Europe/Paris", commune="42218")
            for site_id in sorted(site_ids)
        },
        persons={
            PersonId(name): Person(
                person_id=PersonId(name),
                name=name,
                role=Role.RADIOLOGIST,
                privileges=site_ids,
                competences=dict.fromkeys(SubSpecialty, Competence.COMPETENT),
            )
            for name in names
        },
        providers={},
    )


class ReadingOnCall:
    """Keeps the board of one night and asks `oncall.reading` what to do.

    Parameters
    ----------
    staffing : Staffing
        Who is on duty and who may be called; all of them are in `directory`.
    """

    def __init__(self, staffing: Staffing, directory: Directory, policy: ReadingPolicy) -> None:
        self._directory = directory
        self._policy = policy
        self._cases: dict[str, ReadyCase] = {}
        # Everybody on duty, and whose duty is known to begin.
        self._readers: dict[str, Reader] = {duty.person: _reader(duty) for duty in staffing.duties()}
        self._at_home = [
            CallableBackup(
                person_id=PersonId(person),
                line_id=_BACKUP_LINE,
                arrival_s=float(BACKUP_ARRIVES_MIN * 60),
                paid_s_min=float(BACKUP_PAID_MIN * 60),
            )
            for person in staffing.backups()
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
        """Note who reads from now on; a called backup has been on the board since the call."""
        self._readers.setdefault(duty.person, _reader(duty))
        self._assign(at_s(now_min))

    def off_duty(self, person: str, now_min: Decimal) -> None:
        """Take a reader off the board and give what was on their list to others."""
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

    def minute(self, now_min: Decimal) -> BackupOrders:
        """Ask the forecast whom to call and until when the called ones stay."""
        now_s = at_s(now_min)
        found = forecast(self._board(now_s), self._directory, self._policy)
        calls: tuple[str, ...] = ()
        if found.call is not None:
            self.forecasts.append(found)
            calls = (found.call.person_id,)
            self._at_home = [each for each in self._at_home if each.person_id != found.call.person_id]
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
        return BackupOrders(calls=calls, until_min=until_min)

    def _assign(self, now_s: float) -> None:
        for decision in decide(self._board(now_s), self._directory, self._policy):
            self.decisions.append(decision)
            case = self._cases[decision.case_id]
            self._cases[decision.case_id] = replace(case, assigned_to=decision.person_id, assigned_at_s=now_s)

    def _board(self, now_s: float) -> Board:
        return Board(
            now_s=now_s,
            cases=tuple(self._cases.values()),
            readers=tuple(self._readers.values()),
            backups=tuple(self._at_home),
            ready_times_s=self._ready_times_s,
            utc_offset_s=UTC_OFFSET_S,
        )


def _reader(duty: Duty) -> Reader:
    return Reader(
        person_id=PersonId(duty.person),
        on_duty_from_s=at_s(duty.from_min),
        off_duty_at_s=at_s(duty.until_min),
        is_backup=duty.is_backup,
    )
