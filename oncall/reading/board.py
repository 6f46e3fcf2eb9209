"""The board: what a reading decision sees, as plain values. Times are seconds since 1970 UTC (floats, for speed).

The engine builds it from the open cases' projections and the roster's timeline; the simulation builds it the same way.
Nothing on it tells how long a case will really take: only what is expected of its kind.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from oncall.case.event import CaseId
from oncall.directory import LineId, PersonId, SiteId, SubSpecialty


class Urgency(IntEnum):
    """Priority class; P1 (stroke, polytrauma, life threat) is always read before the others."""

    P1 = 1
    P2 = 2
    P3 = 3


class ExamKind(StrEnum):
    """Kinds of exam that take different times to read and need different readers."""

    STROKE = "stroke"
    WHOLE_BODY = "wbct"
    HEAD = "head"
    ABDOMEN = "abdo"
    CHEST = "chest"
    MSK = "msk"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyCase:
    """A case whose images are complete and whose report is not signed.

    ``deadline_at_s`` is the contract's and never moves; ``target_at_s`` may be earlier. ``claimed_at_s`` is when its
    reader opened it: from then on it is theirs.
    """

    case_id: CaseId
    site_id: SiteId
    urgency: Urgency
    exam: ExamKind
    needs: SubSpecialty
    ready_at_s: float
    deadline_at_s: float
    target_at_s: float
    expected_read_s: float
    patient_key: str = ""
    protocol_author: PersonId | None = None
    declined_by: frozenset[PersonId] = frozenset()
    assigned_to: PersonId | None = None
    assigned_at_s: float | None = None
    acknowledged_at_s: float | None = None
    claimed_by: PersonId | None = None
    claimed_at_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Somebody who may be given cases now.

    On duty from `on_duty_from_s` until `off_duty_at_s`; a case begun before the end is finished. ``read_s`` is the time
    spent reading since the shift began, ``cases_read`` how many. ``patients`` are patient keys of this shift.
    """

    person_id: PersonId
    on_duty_from_s: float
    off_duty_at_s: float
    is_backup: bool = False
    is_unavailable: bool = False
    resting_until_s: float | None = None
    read_s: float = 0.0
    cases_read: int = 0
    patients: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class CallableBackup:
    """Somebody on a backup line who is at home. ``refusal`` names the rule that forbids calling them now, or is empty.

    Called, they read `arrival_s` later and are paid at least `paid_s_min`.
    """

    person_id: PersonId
    line_id: LineId
    arrival_s: float
    paid_s_min: float
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Everything a reading decision may look at, at `now_s`.

    ``readers`` are those on duty, those whose duty begins within the forecast's horizon (``on_duty_from_s`` ahead of
    now) and backups that were called, whose ``off_duty_at_s`` is until when they are kept now (first arrival plus paid
    minimum, then what `forecast` extends it to). ``ready_times_s`` are when the cases of this night became ready,
    signed ones included, oldest first: how busy the night is. ``utc_offset_s`` is the local clock's, for the hour of
    the day that the expected arrivals depend on.
    """

    now_s: float
    cases: tuple[ReadyCase, ...]
    readers: tuple[Reader, ...]
    backups: tuple[CallableBackup, ...] = ()
    ready_times_s: tuple[float, ...] = ()
    utc_offset_s: float = 0.0
