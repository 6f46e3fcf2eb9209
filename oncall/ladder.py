"""Escalation ladders as data: who is told in which order, and how long each is given to answer.

A roster carries ladders: its lines name those that look for a reader, those of another purpose hold for its whole
territory (`oncall.rota.model`). `oncall.escalation` climbs a snapshot of one.
Seconds throughout. Source: `oncall_domain.md` 4.2 ESCALATION (L0 to L5), 4.3 C3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oncall.reading.board import Urgency


class Target(StrEnum):
    """Whom a step means; resolved to people by `oncall.callees` when the step begins."""

    ASSIGNED_READER = "assigned_reader"
    ANOTHER_READER = "another_reader"
    NEUROLOGIST = "neurologist"
    SENIOR = "senior"
    BACKUP = "backup"
    NEIGHBOUR_PROVIDER = "neighbour_provider"
    COORDINATOR = "coordinator"
    EMERGENCY_PHYSICIAN = "emergency_physician"
    HOSPITAL_SENIOR = "hospital_senior"
    ADMINISTRATOR_ON_DUTY = "administrator_on_duty"
    HOSPITAL = "hospital"


class Purpose(StrEnum):
    """What a ladder is climbed for: a case wants a reader, its report is late and unopened, its transfer stopped.

    Or a critical finding or a significant discrepancy was not acknowledged in time, nobody at the hospital has
    acknowledged the report, or a request waits for its answer and the exam for its protocol.
    """

    READER = "reader"
    LATE = "late"
    TECHNICAL = "technical"
    CRITICAL = "critical"
    UNOPENED = "unopened"
    REQUEST = "request"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One level: who, how many of them at once, how long to wait for an answer, when to page again on another channel.

    ``wait_s`` and ``repage_after_s`` are by urgency, in seconds; `pages_max` counts pages to one person in this step.
    """

    level: int
    target: Target
    wait_s: Mapping[Urgency, float]
    repage_after_s: Mapping[Urgency, float]
    pages_max: int = 2
    persons_max: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """The steps of a line or a territory, in order, gone through `rounds` times before the hospital is alarmed.

    ``alarm_repeat_s`` is between two alarms of the hospital; `version` is named in every fact.

    Raises
    ------
    ValueError
        If the ladder could stall: no step, no round, or a time that is not positive.
    """

    ladder_id: str
    version: str
    steps: tuple[Step, ...]
    rounds: int = 1
    alarm_repeat_s: float = 300.0
    purpose: Purpose = Purpose.READER

    def __post_init__(self) -> None:
        times = [seconds for step in self.steps for seconds in (*step.wait_s.values(), *step.repage_after_s.values())]
        is_complete = all(set(step.wait_s) == set(step.repage_after_s) == set(Urgency) for step in self.steps)
        if not self.steps or self.rounds < 1 or min(*times, self.alarm_repeat_s) <= 0 or not is_complete:
            message = f"ladder {self.ladder_id}: needs steps, a round, and positive times for every urgency"
            raise ValueError(message)
        if any(step.pages_max < 1 or step.persons_max < 1 for step in self.steps):
            message = f"ladder {self.ladder_id}: a step pages at least one person once"
            raise ValueError(message)


def for_stroke(ladder: Ladder) -> Ladder:
    """Return the ladder of a stroke: the hospital's neurologist is told before the neuro-radiologist is asked.

    The neurologist decides on the treatment and reads no images: whatever they answer, the next step begins. A ladder
    that names the neurologist itself stays as it is. Source: `oncall_domain.md` 4.2, L2.
    """
    if any(step.target is Target.NEUROLOGIST for step in ladder.steps):
        return ladder
    place = next(
        (number for number, step in enumerate(ladder.steps) if step.target is Target.SENIOR), len(ladder.steps)
    )
    like = ladder.steps[min(place, len(ladder.steps) - 1)]
    told = replace(like, target=Target.NEUROLOGIST, persons_max=1)
    return replace(
        ladder,
        ladder_id=f"{ladder.ladder_id}+stroke",
        steps=(*ladder.steps[:place], told, *ladder.steps[place:]),
    )


def _step(level: int, target: Target, persons_max: int = 1) -> Step:
    # C3 (2 min for P1, 5 min for others); L0's second page after 2 min, for P1 within its two minutes.
    return Step(
        level=level,
        target=target,
        wait_s={Urgency.P1: 120.0, Urgency.P2: 300.0, Urgency.P3: 300.0},
        repage_after_s={Urgency.P1: 60.0, Urgency.P2: 120.0, Urgency.P3: 120.0},
        persons_max=persons_max,
    )


DEFAULT_LADDER: Final = Ladder(
    ladder_id="default",
    version="1",
    steps=(
        _step(0, Target.ASSIGNED_READER),
        _step(1, Target.ANOTHER_READER),
        _step(2, Target.SENIOR),
        _step(3, Target.BACKUP, persons_max=2),
        _step(4, Target.NEIGHBOUR_PROVIDER),
        _step(5, Target.COORDINATOR),
    ),
)

_EVERY_URGENCY_S: Final = dict.fromkeys(Urgency, 300.0)

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


def _inside_hospital(category: int, wait_s: float, repage_after_s: float, alarm_repeat_s: float) -> Ladder:
    who = (
        (1, Target.EMERGENCY_PHYSICIAN),
        (2, Target.HOSPITAL_SENIOR),
        (3, Target.ADMINISTRATOR_ON_DUTY),
        (5, Target.COORDINATOR),
    )
    steps = tuple(
        Step(
            level=level,
            target=target,
            wait_s=dict.fromkeys(Urgency, wait_s),
            repage_after_s=dict.fromkeys(Urgency, repage_after_s),
        )
        for level, target in who
    )
    return Ladder(
        ladder_id=f"critical-{category}",
        version="1",
        purpose=Purpose.CRITICAL,
        steps=steps,
        alarm_repeat_s=alarm_repeat_s,
    )


HOSPITAL_LADDERS: Final[Mapping[int, Ladder]] = MappingProxyType(
    {
        1: _inside_hospital(1, 4 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE),
        2: _inside_hospital(2, 15 * _MINUTE, 8 * _MINUTE, 30 * _MINUTE),
        # Days late by now: nobody is woken every hour for it, and nobody forgets it.
        3: _inside_hospital(3, 2 * _HOUR, 1 * _HOUR, 6 * _HOUR),
    }
)
"""Inside the hospital, by ACR category; then everybody whom it names, again and again, until one takes note by name."""

DEFAULT_LADDERS: Final[Mapping[Purpose, Ladder]] = MappingProxyType(
    {
        Purpose.READER: DEFAULT_LADDER,
        Purpose.LATE: Ladder(
            ladder_id="late",
            version="1",
            purpose=Purpose.LATE,
            steps=(
                Step(
                    level=2,
                    target=Target.SENIOR,
                    wait_s=_EVERY_URGENCY_S,
                    repage_after_s=_EVERY_URGENCY_S,
                    pages_max=1,
                ),
                Step(level=5, target=Target.COORDINATOR, wait_s=_EVERY_URGENCY_S, repage_after_s=_EVERY_URGENCY_S),
            ),
        ),
        Purpose.TECHNICAL: Ladder(
            ladder_id="technical",
            version="1",
            purpose=Purpose.TECHNICAL,
            steps=(Step(level=5, target=Target.COORDINATOR, wait_s=_EVERY_URGENCY_S, repage_after_s=_EVERY_URGENCY_S),),
        ),
        Purpose.CRITICAL: HOSPITAL_LADDERS[1],
        # C1: a patient waits before the scanner. Two readers, then those above them, within the ten minutes (P1: five).
        Purpose.REQUEST: Ladder(
            ladder_id="request",
            version="1",
            purpose=Purpose.REQUEST,
            steps=tuple(
                Step(
                    level=level,
                    target=target,
                    wait_s={Urgency.P1: 60.0, Urgency.P2: 120.0, Urgency.P3: 180.0},
                    repage_after_s={Urgency.P1: 30.0, Urgency.P2: 60.0, Urgency.P3: 90.0},
                )
                for level, target in (
                    (0, Target.ANOTHER_READER),
                    (1, Target.ANOTHER_READER),
                    (2, Target.SENIOR),
                    (4, Target.NEIGHBOUR_PROVIDER),
                    (5, Target.COORDINATOR),
                )
            ),
        ),
        # The hospital's own people first: they can walk to the bedside.
        Purpose.UNOPENED: Ladder(
            ladder_id="unopened",
            version="1",
            purpose=Purpose.UNOPENED,
            steps=tuple(
                Step(level=level, target=target, wait_s=_EVERY_URGENCY_S, repage_after_s=_EVERY_URGENCY_S, pages_max=1)
                for level, target in enumerate(
                    (
                        Target.EMERGENCY_PHYSICIAN,
                        Target.HOSPITAL_SENIOR,
                        Target.ADMINISTRATOR_ON_DUTY,
                        Target.COORDINATOR,
                    ),
                    start=1,
                )
            ),
        ),
    }
)
"""The engine's own, climbed where the roster in force has none."""
