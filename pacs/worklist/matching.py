"""What a worklist query asks for: the keys of an identifier as conditions on items, and the shape of an answer.

For: `pacs.worklist.query`. Not for: bytes (`pacs.scp.find_identifier`) or rows. The semantics of a single key are those
of `pacs.archive.matching`, so a console and a workstation get the same answer to the same key.

Invariants
----------
* Every attribute of an item can be matched, the required ones of PS3.4 Table K.6-1 among them; a key on another
  attribute is not matched and said so (0xFF01), never taken for "nothing matches".
* An order for any scanner of its hospital matches every Scheduled Station AE Title.
* A range of dates with a range of times is one span from the first moment to the last (PS3.4 Table K.6-1).
* The narrowing leaves nothing out that matches: it only spares rows.

References
----------
PS3.4 K.2.2 (matching), K.4.1.1.3 (identifiers), Table K.6-1, C.2.2.2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import Final, TypeAlias

from pydicom.datadict import dictionary_has_tag

from pacs.archive.matching import (
    Dates,
    DateTimeSpan,
    ExactText,
    InvalidKey,
    Matcher,
    MatchingOptions,
    TextMatcher,
    compile_date_time_span,
    compile_key,
    matches_element,
)
from pacs.archive.query_time import NotATime, parse_offset
from pacs.archive.query_values import Element, Item
from pacs.worklist import item as worklist

Shape: TypeAlias = tuple[tuple[int, "Shape | None"], ...]
"""Attributes of an answer in ascending order of tag; of a sequence the shape of its items, None for all they have."""

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_LITERAL: Final = MatchingOptions()
_FUZZY: Final = MatchingOptions(fuzzy_names=True)
_PROTOCOL_TAGS: Final = frozenset({worklist.PROTOCOL_CODES, worklist.STEP_COMMENTS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowing:
    """What a database may leave out: '' and None narrow nothing. Days are wall days, YYYYMMDD, both included."""

    first_day: str | None = None
    last_day: str | None = None
    modality: str = ""
    patient_id: str = ""
    accession_number: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorklistPlan:
    """A query, understood.

    Attributes
    ----------
    zone : timezone or None
        In which dates and times are asked and answered, when the query says so (0008,0201); else the hospital's.
    station_aet : str
        The one scanner that is asked for, else ''.
    is_complete : bool
        False when a key was not matched because its attribute is none of an item's.
    gives_protocol : bool
        Whether an answer holds what the protocol asks for: its codes or its text.
    """

    shape: Shape
    conditions: tuple[tuple[int, Matcher], ...]
    step_conditions: tuple[tuple[int, Matcher], ...]
    station: TextMatcher | None
    span: DateTimeSpan | None
    narrowing: Narrowing
    zone: timezone | None
    station_aet: str
    is_complete: bool
    gives_protocol: bool

    def matches(self, item: Item) -> bool:
        """Say whether an item of `pacs.worklist.item.worklist_item` is asked for."""
        if not all(matches_element(matcher, item.get(number)) for number, matcher in self.conditions):
            return False
        step = item[worklist.STEP_SEQUENCE].items[0]
        if not all(matches_element(matcher, step.get(number)) for number, matcher in self.step_conditions):
            return False
        station = step[worklist.STATION_AET].text
        if self.station is not None and station and not self.station.matches(station):
            return False
        return self.span is None or self.span.matches(step[worklist.START_DATE].text, step[worklist.START_TIME].text)


def plan_worklist(keys: Item, *, fuzzy_names: bool = False) -> WorklistPlan:
    """Understand the keys of an identifier.

    Parameters
    ----------
    fuzzy_names : bool
        Whether fuzzy semantic matching of person names was negotiated (PS3.4 K.5.1.1).

    Raises
    ------
    pacs.archive.matching.InvalidKey
        If a key has no meaning: the query fails, it does not find nothing.
    """
    options = _FUZZY if fuzzy_names else _LITERAL
    wanted = {number: key for number, key in keys.items() if number != _SPECIFIC_CHARACTER_SET}
    zone = _zone(wanted.get(worklist.TIMEZONE_OFFSET))
    step_keys = _step_keys(wanted.get(worklist.STEP_SEQUENCE))
    top = {n: key for n, key in wanted.items() if n not in (worklist.STEP_SEQUENCE, worklist.TIMEZONE_OFFSET)}
    conditions, knows_all = _conditions(top, worklist.ATTRIBUTES, options)
    date, time = (_text(step_keys.get(number)) for number in (worklist.START_DATE, worklist.START_TIME))
    span = _span(date, time)
    apart = {worklist.STATION_AET} | ({worklist.START_DATE, worklist.START_TIME} if span is not None else set())
    plain = {number: key for number, key in step_keys.items() if number not in apart}
    step_conditions, knows_steps = _conditions(plain, worklist.STEP_ATTRIBUTES, options)
    station = _compiled(worklist.STATION_AET, step_keys.get(worklist.STATION_AET), worklist.STEP_ATTRIBUTES, options)
    shape = _shape(wanted)
    return WorklistPlan(
        shape=shape,
        conditions=conditions,
        step_conditions=step_conditions,
        station=station,  # type: ignore[arg-type]  # AE is no sequence
        span=span,
        narrowing=_narrowing(conditions, step_conditions, span),
        zone=zone,
        station_aet=_text(step_keys.get(worklist.STATION_AET)) if _is_plain(station) else "",
        is_complete=knows_all and knows_steps,
        gives_protocol=_gives_protocol(shape),
    )


def project(items: tuple[Item, ...], shape: Shape | None) -> tuple[Item, ...]:
    """Return the items of a sequence with what is asked for only."""
    if shape is None:
        return items
    return tuple(
        {number: _projected(item[number], nested) for number, nested in shape if number in item} for item in items
    )


def _projected(element: Element, shape: Shape | None) -> Element:
    return element if shape is None else Element(vr="SQ", items=project(element.items, shape))


def _zone(key: Element | None) -> timezone | None:
    if key is None or not key.text:
        return None
    zone = parse_offset(key.text)
    if zone is None:
        raise InvalidKey(worklist.TIMEZONE_OFFSET, "not an offset from UTC")
    return zone


def _step_keys(key: Element | None) -> Mapping[int, Element]:
    if key is None:
        return {}
    if key.vr != "SQ":
        raise InvalidKey(worklist.STEP_SEQUENCE, "not a sequence")
    if len(key.items) > 1:
        raise InvalidKey(worklist.STEP_SEQUENCE, "a sequence key has one item")
    return key.items[0] if key.items else {}


def _conditions(
    keys: Mapping[int, Element], table: Mapping[int, str], options: MatchingOptions
) -> tuple[tuple[tuple[int, Matcher], ...], bool]:
    """Return the conditions of keys, and whether every key that asks for something is one of ours."""
    conditions: list[tuple[int, Matcher]] = []
    knows_all = True
    for number, key in keys.items():
        if number in table:
            matcher = _compiled(number, key, table, options)
            if matcher is not None:
                conditions.append((number, matcher))
        elif key.text.strip(" *") or key.items:
            knows_all = False
    return tuple(conditions), knows_all


def _compiled(number: int, key: Element | None, table: Mapping[int, str], options: MatchingOptions) -> Matcher | None:
    if key is None:
        return None
    vr = table[number]
    if (key.vr == "SQ") != (vr == "SQ"):
        raise InvalidKey(number, "a sequence where a value is wanted, or a value where a sequence is")
    # The standard's VR decides how a value is compared, whatever the peer wrote before it.
    return compile_key(number, key if key.vr == vr else Element(vr=vr, text=key.text), options)


def _span(date: str, time: str) -> DateTimeSpan | None:
    try:
        return compile_date_time_span(date, time)
    except NotATime as error:
        raise InvalidKey(worklist.START_TIME, str(error)) from error


def _narrowing(
    conditions: tuple[tuple[int, Matcher], ...],
    step_conditions: tuple[tuple[int, Matcher], ...],
    span: DateTimeSpan | None,
) -> Narrowing:
    top, step = dict(conditions), dict(step_conditions)
    first = last = None
    dates = step.get(worklist.START_DATE)
    if isinstance(dates, Dates):
        first, last = dates.range.low, dates.range.high
    elif span is not None:
        first = None if span.low is None else span.low[0]
        last = None if span.high is None else span.high[0]
    return Narrowing(
        first_day=first,
        last_day=last,
        modality=_exact(step.get(worklist.MODALITY)),
        patient_id=_exact(top.get(worklist.PATIENT_ID)),
        accession_number=_exact(top.get(worklist.ACCESSION_NUMBER)),
    )


def _exact(matcher: Matcher | None) -> str:
    return matcher.value if isinstance(matcher, ExactText) else ""


def _is_plain(matcher: Matcher | None) -> bool:
    """Say whether a compiled key of Scheduled Station AE Title is one title, without wildcards."""
    inner = getattr(matcher, "matcher", matcher)
    return isinstance(inner, ExactText)


def _text(key: Element | None) -> str:
    return "" if key is None else key.text.strip(" ")


def _shape(keys: Mapping[int, Element]) -> Shape:
    """Return what of an item is answered: attributes that it has and that are asked for."""
    return tuple(
        (number, _nested_shape(keys[number], worklist.STEP_ATTRIBUTES if number == worklist.STEP_SEQUENCE else None))
        for number in sorted(keys)
        if number in worklist.ATTRIBUTES
    )


def _nested_shape(key: Element, table: Mapping[int, str] | None) -> Shape | None:
    """Return the shape of a sequence's items; a key without an item, or with an empty one, asks for all (C.2.2.2.6)."""
    asked = key.items[0] if key.items else {}
    if not asked:
        return None
    return tuple(
        (number, _nested_shape(asked[number], None))
        for number in sorted(asked)
        if (number in table if table is not None else dictionary_has_tag(number))
    )


def _gives_protocol(shape: Shape) -> bool:
    wanted = dict(shape)
    if worklist.REQUEST_COMMENTS in wanted:
        return True
    if worklist.STEP_SEQUENCE not in wanted:
        return False
    step = wanted[worklist.STEP_SEQUENCE]
    return step is None or not _PROTOCOL_TAGS.isdisjoint(number for number, _ in step)
