"""Escalation ladders as JSON, and back: strict in both directions.

For: the ladders that a roster's document carries. Not for: chains that climb one (`oncall.engine.chain_rows`).

Invariants: reading what was written gives an equal ladder; a ladder that could stall, or that would leave the hospital
unalarmed for hours, is refused where it stands.
"""

from collections.abc import Mapping
from typing import Any, Final

from oncall.ladder import Ladder, Purpose, Step, Target
from oncall.reading.board import Urgency
from oncall.strict_json import Record, Value

# L0 to L5 are six; somebody may want each twice.
_STEPS_MAX: Final = 12
_ROUNDS_MAX: Final = 5
_PERSONS_MAX: Final = 20
# Below it a telephone does not even ring; above it a case's whole hour would be one step's.
_WAIT_S_MIN: Final = 10.0
_WAIT_S_MAX: Final = 1800.0


def ladder_to_json(ladder: Ladder) -> dict[str, Any]:
    """Return a ladder as an object; times are in seconds, by urgency."""
    return {
        "ladder_id": ladder.ladder_id,
        "version": ladder.version,
        "purpose": ladder.purpose.value,
        "rounds": ladder.rounds,
        "alarm_repeat_s": ladder.alarm_repeat_s,
        "steps": [
            {
                "level": step.level,
                "target": step.target.value,
                "wait_s": _times_to_json(step.wait_s),
                "repage_after_s": _times_to_json(step.repage_after_s),
                "pages_max": step.pages_max,
                "persons_max": step.persons_max,
            }
            for step in ladder.steps
        ],
    }


def ladder_from_json(value: Value) -> Ladder:
    """Read a ladder.

    Raises
    ------
    DocumentInvalid
        If it is no ladder, it looks for a reader and does not begin with the assigned one, its levels do not rise, or a
        time is not between 10 s and 30 min.
    """
    record = value.record(("ladder_id", "version", "steps"), ("purpose", "rounds", "alarm_repeat_s"))
    purpose = record.get("purpose", lambda one: one.one_of(Purpose), Purpose.READER)
    steps = tuple(record.each("steps", _step, items_max=_STEPS_MAX))
    levels = [step.level for step in steps]
    if not steps or levels != sorted(set(levels)):
        raise record["steps"].wrong("at least one step is wanted, each of a higher level than the one before")
    asks_reader = steps[0].level == 0 and steps[0].target is Target.ASSIGNED_READER
    if purpose is Purpose.READER and not asks_reader:
        # Otherwise the reader whose case it is would never hear of it.
        raise record["steps"].wrong("the first step is level 0 and asks the assigned_reader")
    return Ladder(
        ladder_id=record["ladder_id"].text(),
        version=record["version"].text(),
        purpose=purpose,
        steps=steps,
        rounds=record.get("rounds", lambda one: one.whole(1, _ROUNDS_MAX), 1),
        alarm_repeat_s=record.get("alarm_repeat_s", _seconds, 300.0),
    )


def _step(value: Value) -> Step:
    record = value.record(("level", "target", "wait_s", "repage_after_s"), ("pages_max", "persons_max"))
    target = record["target"].one_of(Target)
    if target is Target.HOSPITAL:
        raise record["target"].wrong("the hospital is alarmed after the last step; it is no step of its own")
    return Step(
        level=record["level"].whole(0, _STEPS_MAX),
        target=target,
        wait_s=_times(record["wait_s"]),
        repage_after_s=_times(record["repage_after_s"]),
        pages_max=record.get("pages_max", lambda one: one.whole(1, _PERSONS_MAX), 2),
        persons_max=record.get("persons_max", lambda one: one.whole(1, _PERSONS_MAX), 1),
    )


def _times(value: Value) -> Mapping[Urgency, float]:
    record: Record = value.record([urgency.name.lower() for urgency in Urgency])
    return {urgency: _seconds(record[urgency.name.lower()]) for urgency in Urgency}


def _seconds(value: Value) -> float:
    return value.number(_WAIT_S_MIN, _WAIT_S_MAX)


def _times_to_json(seconds: Mapping[Urgency, float]) -> dict[str, float]:
    return {urgency.name.lower(): seconds[urgency] for urgency in Urgency}
