"""Fields of a received message as text: by segment, field, component; what is missing is empty, never an exception.

For: `Segment`, the groups of an order message, and instants. Not for: what a field means (`patients_in`, `orders_in`,
`adt_in`), or splitting bytes into messages (the library `hl7` and `pacs.worklist.hl7.listener` do).

Invariants
----------
* Numbers are HL7's own, from 1; for MSH too, where the field separator is MSH-1.
* Texts are unescaped once, here, without control characters but line breaks; the null value ``""`` reads as empty, and
  `Segment.is_null` tells it apart.
* An instant without an offset is wall time of the sending hospital; of a time that happens twice the one is taken that
  is nearer to when the message came.

References
----------
HL7 2.5.1 2.5 (segments, fields), 2.7 (escapes), 2.A.77 (TS)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

import hl7

from pacs.worklist.hl7.escapes import unescaped

NULL: Final = '""'
"""What a sender writes to say that a value is to be deleted (HL7 2.5.1 2.5.3)."""

Parts = tuple[str | tuple[str, ...], ...]
"""Components of a field, each a text or its subcomponents; as `pacs.worklist.hl7.writing` takes them."""

_TS: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?P<minute>\d\d)?"
    r"(?:(?P<second>\d\d)(?:\.\d{1,4})?)?)?)?)?(?P<offset>[+-]\d{4})?"
)

# No text of a message needs them, and not every table can hold them; escape sequences can write them.
_CONTROL: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One segment; ``sequence`` counts those of its name in the message from 1."""

    name: str
    sequence: int
    fields: Sequence[Any]
    escapes: "Escapes"

    def text(self, field: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 1) -> str:
        """Return one value, unescaped and without spaces around it; '' when it is missing or null."""
        raw = self.raw(field, component, subcomponent, repetition=repetition)
        if not raw or raw == NULL:
            return ""
        return self.escapes.undone(raw).strip()

    def raw(self, field: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 1) -> str:
        """Return one value as it was written; '' when it is missing."""
        found = _part(self.fields, field, "")
        found = _part(found, repetition - 1, found if repetition == 1 else "")
        found = _part(found, component - 1, found if component == 1 else "")
        found = _part(found, subcomponent - 1, found if subcomponent == 1 else "")
        return found if isinstance(found, str) else str(found)

    def is_null(self, field: int) -> bool:
        """Say whether the sender deletes this field's value."""
        return self.raw(field) == NULL

    def value(self, field: int, *, repetition: int = 1) -> "Parts":
        """Return a whole repetition, unescaped: its components, each a text or its subcomponents."""
        found = _part(self.fields, field, "")
        found = _part(found, repetition - 1, found if repetition == 1 else "")
        if isinstance(found, str):
            return (self.escapes.undone(found),)
        return tuple(self._component(one) for one in found)

    def _component(self, component: Any) -> str | tuple[str, ...]:
        parts = [self.escapes.undone(str(one)) for one in ([component] if isinstance(component, str) else component)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def joined(self, field: int) -> str:
        """Return a text field whose repetitions are its lines (FT, TX), unescaped."""
        lines = (self.text(field, repetition=number) for number in range(1, self.count(field) + 1))
        return "\n".join(line for line in lines if line)

    def count(self, field: int) -> int:
        """Return how many repetitions a field has; 0 when it is empty."""
        found = _part(self.fields, field, "")
        return 0 if str(found) == "" else (1 if isinstance(found, str) else len(found))

    def has(self, field: int) -> bool:
        """Say whether a field holds anything."""
        return str(_part(self.fields, field, "")) not in {"", NULL}


@dataclass(frozen=True, kw_only=True, slots=True)
class Escapes:
    """The escape sequences of one message, whose separators it names itself (MSH-2)."""

    message: hl7.Message

    def undone(self, raw: str) -> str:
        """Return a text with its escape sequences replaced; line breaks of formatted text become newlines."""
        text = raw
        if self.message.esc in raw:
            separators = self.message.separators
            # The library's order: segment, field, repetition, component, subcomponent.
            delimiters = f"{separators[1]}{separators[3]}{separators[2]}{self.message.esc}{separators[4]}"
            text = unescaped(raw, delimiters)
        return text if text.isprintable() else text.translate(_CONTROL)


def segments_of(message: hl7.Message) -> tuple[Segment, ...]:
    """Return the segments of a parsed message in their order."""
    escapes, counts = Escapes(message=message), dict[str, int]()
    found = []
    for fields in message:
        name = str(fields[0])
        counts[name] = counts.get(name, 0) + 1
        found.append(Segment(name=name, sequence=counts[name], fields=fields, escapes=escapes))
    return tuple(found)


def first(segments: Sequence[Segment], name: str) -> Segment | None:
    """Return the first segment of a name, or None."""
    return next((one for one in segments if one.name == name), None)


def every(segments: Sequence[Segment], name: str) -> tuple[Segment, ...]:
    """Return all segments of a name."""
    return tuple(one for one in segments if one.name == name)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderGroup:
    """One ORDER group of ORM, OMG or OMI: its ORC and everything up to the next one."""

    orc: Segment
    segments: tuple[Segment, ...]

    @property
    def obr(self) -> Segment | None:
        """The group's first OBR."""
        return first(self.segments, "OBR")

    def observations(self) -> Iterator[tuple[Segment, tuple[Segment, ...]]]:
        """Yield each OBX with the NTEs that follow it."""
        for index, one in enumerate(self.segments):
            if one.name == "OBX":
                yield one, _notes_after(self.segments, index)

    def notes(self) -> tuple[Segment, ...]:
        """Return the NTEs of the OBR itself."""
        for index, one in enumerate(self.segments):
            if one.name == "OBR":
                return _notes_after(self.segments, index)
        return ()


def order_groups(segments: Sequence[Segment]) -> tuple[OrderGroup, ...]:
    """Return the ORDER groups of a message, each beginning with an ORC."""
    starts = [index for index, one in enumerate(segments) if one.name == "ORC"]
    ends = [*starts[1:], len(segments)]
    return tuple(
        OrderGroup(orc=segments[start], segments=tuple(segments[start:end]))
        for start, end in zip(starts, ends, strict=False)
    )


def instant_of(text: str, zone: tzinfo, *, near: datetime) -> datetime | None:
    """Return the UTC instant of an HL7 time stamp; None when it is none.

    Parameters
    ----------
    text : str
        TS: YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ]; what is left out is the beginning.
    zone : tzinfo
        Where the sender's clock hangs.
    near : datetime
        When the message came: of an hour that is lived twice, the one nearer to it is meant.
    """
    found = _TS.fullmatch(text)
    if found is None:
        return None
    numbers = [int(found[name] or least) for name, least in _LEAST]
    try:
        wall = datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001  # the zone is set below
        if found["offset"] is not None:
            return wall.replace(tzinfo=_offset(found["offset"])).astimezone(UTC)
        both = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    except (ValueError, OverflowError):
        return None
    return min(both, key=lambda instant: abs(instant - near))


_LEAST: Final = (("year", 1), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))


def _offset(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _notes_after(segments: Sequence[Segment], index: int) -> tuple[Segment, ...]:
    end = index + 1
    while end < len(segments) and segments[end].name == "NTE":
        end += 1
    return tuple(segments[index + 1 : end])


def _part(whole: Any, index: int, otherwise: Any) -> Any:
    """Return one part of a container of the library, whose leaves are strings; `otherwise` where it ends before."""
    if isinstance(whole, str):
        return otherwise
    return whole[index] if 0 <= index < len(whole) else ""
