"""A difference between what was sealed and what is there, or between two copies: what it is, and where.

For: the value that verification and reconciliation answer with, comparing lists by digests and objects by fields. Not
for: deciding what may differ (`oncall.evidence.verification`, `oncall.evidence.reconciliation`).

Invariant: a difference names its place as closely as the evidence allows: byte, item, event, field.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, Final, NamedTuple

# Of a value quoted in a difference; whole report texts are not repeated.
_SHOWN_CHARACTERS_MAX: Final = 120


class What(StrEnum):
    """Which kind of difference."""

    DAMAGED = "damaged"
    ALTERED = "altered"
    MISSING = "missing"
    ADDED = "added"
    MOVED = "moved"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown_key"
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One difference.

    ``section`` is that of the dossier, or ``file``, ``manifest``, ``seal``, ``log``; ``item`` counts from 1 (0: none).
    ``name`` says it in words (``event 7 of case C1``), ``field`` is a path inside (``payload.reason``).
    """

    what: What
    section: str
    item: int = 0
    name: str = ""
    field: str = ""
    detail: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        place = self.name or (f"{self.section}, item {self.item}" if self.item else self.section)
        return f"{place}, {self.field}" if self.field else place

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "what": self.what.value,
            "where": self.where,
            "section": self.section,
            "item": self.item,
            "field": self.field,
            "detail": self.detail,
        }


class Step(NamedTuple):
    """How one list becomes another: places count from 0, None where the list has no such item."""

    what: What
    before: int | None
    after: int | None


def list_steps(before: Sequence[str], after: Sequence[str]) -> list[Step]:
    """Return what makes one list of digests of another: moved, altered, missing and added items, in order."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    middle = SequenceMatcher(
        None, before[start : len(before) - end], after[start : len(after) - end], autojunk=False
    ).get_opcodes()
    gaps = [
        (list(range(start + low, start + high)), list(range(start + left, start + right)))
        for tag, low, high, left, right in middle
        if tag != "equal"
    ]
    gone = [place for left, _ in gaps for place in left]
    come: dict[str, list[int]] = {}
    for _, right in gaps:
        for place in right:
            come.setdefault(after[place], []).append(place)
    steps = []
    moved_from, moved_to = set(), set()
    for place in gone:
        found = come.get(before[place])
        if found:
            goal = found.pop(0)
            moved_from.add(place)
            moved_to.add(goal)
            steps.append(Step(What.MOVED, place, goal))
    for left, right in gaps:
        steps += _paired(
            [place for place in left if place not in moved_from], [place for place in right if place not in moved_to]
        )
    return sorted(steps, key=_place)


def field_differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Return the paths at which two JSON values differ, each with what stands there on either side."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            if before.get(key, _ABSENT) != after.get(key, _ABSENT):
                inner = f"{path}.{key}" if path else str(key)
                yield from field_differences(before.get(key, _ABSENT), after.get(key, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                yield from field_differences(one, other, f"{path}[{number}]")
    else:
        yield path, f"{_shown(before)} / {_shown(after)}"


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT: Final = _Absent()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}..."


def _paired(left: Sequence[int], right: Sequence[int]) -> Iterator[Step]:
    both = min(len(left), len(right))
    for before, after in zip(left[:both], right[:both], strict=True):
        yield Step(What.ALTERED, before, after)
    for before in left[both:]:
        yield Step(What.MISSING, before, None)
    for after in right[both:]:
        yield Step(What.ADDED, None, after)


def _place(step: Step) -> tuple[int, int]:
    found = step.before if step.before is not None else step.after
    return (found or 0, step.after or 0)
