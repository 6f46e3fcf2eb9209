"""What is in force: directory, roster, policy, ladder and law, as one value that a decision reads.

For: `InForce` and where it comes from (`Rules`). Not for: publishing documents (`oncall.documents_store`).

Invariant: a decision reads one `InForce` from beginning to end; its versions stand in every fact that it makes.
"""

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Final, Protocol

from oncall.case.intake_policy import EmergencyRule, IntakePolicy, OnCallHours
from oncall.directory import Directory, LineId, PersonId
from oncall.ladder import DEFAULT_LADDER, DEFAULT_LADDERS, Ladder, Purpose
from oncall.reading.policy import DEFAULT, ReadingPolicy
from oncall.rota.legal import LegalLimits
from oncall.rota.model import Line, LineKind, Roster
from oncall.rota.timeline import Timeline
from oncall.second_reading.policy import SecondReadingPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class EnginePolicy:
    """Numbers of the engine itself; times in seconds.

    ``backup_arrival_s`` and ``backup_paid_s`` are those of §3.6; ``horizon_s`` is how far ahead the next shift's
    readers are planned with; ``review_s`` is after how long a case that waits for others is looked at again, which is
    what makes a next alarm time certain, ``follow_up_s`` the same for a ready case that no reader is being asked for;
    ``contact_test_s`` is how long before a shift its contact is tried (if
    ``is_contact_tested``), and ``contact_answer_s`` how long before it the answer must be there;
    ``backup_answer_s`` is how long a called backup may be silent before the next one is called;
    ``handover_answer_s`` how long a list may wait for acceptance before the coordinator is told, reminders included.
    ``is_request_paged`` says whether a request that waits for its answer pages a reader on duty.
    """

    backup_arrival_s: float = 900.0
    backup_paid_s: float = 3600.0
    forecast_every_s: float = 60.0
    horizon_s: float = 5400.0
    review_s: float = 1800.0
    follow_up_s: float = 600.0
    contact_test_s: float = 1800.0
    contact_answer_s: float = 900.0
    backup_answer_s: float = 300.0
    handover_answer_s: float = 600.0
    is_contact_tested: bool = False
    is_request_paged: bool = False


_EVERY_DAY: Final = frozenset(range(7))
_WEEKEND: Final = frozenset({5, 6})

DEFAULT_INTAKE: Final = IntakePolicy(
    version="1",
    rules=(
        EmergencyRule(
            name="ct_or_mr_in_on_call_hours",
            modalities=frozenset({"CT", "MR"}),
            # §1.8: nights as interns' duty has them, Saturday afternoon, Sunday, holidays.
            hours=(
                OnCallHours(weekdays=_EVERY_DAY, start=time(18, 30), end=time(8, 30), on_holidays=True),
                OnCallHours(weekdays=_WEEKEND, start=time(12), end=time(18, 30)),
                OnCallHours(weekdays=frozenset({6}), start=time(8, 30), end=time(12)),
            ),
        ),
    ),
)
"""Studies that nobody announced are emergencies when they are CT or MR and come in on-call hours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InForce:
    """The rules at one time. The timeline reaches 17 weeks to both sides: the law averages over them."""

    directory: Directory
    roster: Roster
    timeline: Timeline
    reading: ReadingPolicy = DEFAULT
    ladder: Ladder = DEFAULT_LADDER
    limits: LegalLimits = field(default_factory=LegalLimits)
    engine: EnginePolicy = field(default_factory=EnginePolicy)
    intake: IntakePolicy = DEFAULT_INTAKE
    # None: no rule asks for second readings; people may.
    second_reading: SecondReadingPolicy | None = None

    @property
    def lines(self) -> dict[LineId, Line]:
        """The roster's lines by id."""
        return {line.line_id: line for line in self.roster.lines}

    def lines_of(self, kind: LineKind) -> frozenset[LineId]:
        """Return the ids of the lines of one kind."""
        return frozenset(line.line_id for line in self.roster.lines if line.kind is kind)

    def ladder_for(self, purpose: Purpose) -> Ladder:
        """Return the territory's ladder of a purpose that no line has its own for."""
        return self.roster.ladder_for(purpose) or DEFAULT_LADDERS[purpose]

    def on(self, kind: LineKind, at: datetime) -> tuple[PersonId, ...]:
        """Return who is on a line of one kind at an instant, in the roster's order of lines."""
        wanted = self.lines_of(kind)
        order = {line.line_id: place for place, line in enumerate(self.roster.lines)}
        shifts = [shift for shift in self.timeline.on_duty(at) if shift.line_id in wanted]
        return tuple(dict.fromkeys(shift.person_id for shift in sorted(shifts, key=lambda one: order[one.line_id])))


class Rules(Protocol):
    """Where the rules come from."""

    def at(self, now: datetime) -> InForce:
        """Return what is in force at `now`.

        Raises
        ------
        foundation.errors.Unavailable
            If nothing has been published, or it cannot be read.
        """


class FixedRules:
    """The same rules for ever: simulated nights and tests."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force

    def at(self, now: datetime) -> InForce:
        del now
        return self._in_force
