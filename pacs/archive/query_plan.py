"""From the keys of a query to what must be selected, matched and returned: pure decisions, no database.

A plan has one `Field` for each attribute asked for and one `Condition` for each key that does not match everything.
Keys of the levels above the query level are matched and returned too (in the Study Root model patient attributes are
study attributes, PS3.4 C.3.2; elsewhere it does no harm). Keys with a value of a level below are matched as in
relational queries: a study with Modality CT is one that has a CT series.

References
----------
PS3.4 C.4.1.2.1 (baseline: unique keys of the levels above), C.4.1.2.2 (relational queries), C.6.1, C.6.2
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timezone
from enum import Enum, StrEnum, auto
from typing import Final

from foundation.errors import PeerError
from pacs.archive import query_time
from pacs.archive.attributes import ATTRIBUTE_BY_TAG, LEVELS, UNIQUE_KEY, Attribute, Level, header_vr
from pacs.archive.matching import (
    DateTimeSpan,
    InvalidKey,
    Matcher,
    MatchingOptions,
    compile_date_time_span,
    compile_key,
)
from pacs.archive.query_values import Element, Item

TIMEZONE_OFFSET_FROM_UTC: Final = 0x00080201
# Dates and the times that belong to them, for combined matching and for moving to another zone. Birth dates are not
# moved: a patient's birth date is the one on the identity card.
DATE_TIME_PAIRS: Final[Mapping[int, int]] = {
    0x00080012: 0x00080013,  # Instance Creation
    0x00080020: 0x00080030,  # Study
    0x00080021: 0x00080031,  # Series
    0x00080022: 0x00080032,  # Acquisition
    0x00080023: 0x00080033,  # Content
    0x00400244: 0x00400245,  # Performed Procedure Step Start
    0x00400250: 0x00400251,  # Performed Procedure Step End
}


class Model(StrEnum):
    """Query/Retrieve Information Model; the value names its top level."""

    PATIENT_ROOT = "Patient Root"
    STUDY_ROOT = "Study Root"
    PATIENT_STUDY_ONLY = "Patient/Study Only"

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that can be queried, from the top."""
        if self is Model.STUDY_ROOT:
            return LEVELS[1:]
        return LEVELS[:2] if self is Model.PATIENT_STUDY_ONLY else LEVELS


class IdentifierDoesNotMatch(PeerError):
    """The identifier does not fit the SOP Class: level unknown, or a unique key missing (status 0xA900).

    Parameters
    ----------
    tag : int
        The offending element.
    reason : str
        What is wrong, without patient data.
    """

    def __init__(self, tag: int, reason: str) -> None:
        super().__init__(reason)
        self.tag = tag


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What is asked: keys by tag, without those that say how to read the others.

    ``zone`` is Timezone Offset From UTC of the identifier when Timezone Query Adjustment was negotiated.
    """

    model: Model
    level: Level
    keys: Item
    is_relational: bool
    zone: timezone | None
    options: MatchingOptions


class Origin(Enum):
    """Where a field's value is taken from."""

    # A column or member of the attributes of a row; a sum over the patient's studies; a fact of the archive.
    INDEX = auto()
    # The stored header of an instance.
    HEADER = auto()
    # We do not have it: answered without a value, and with a warning status.
    NOWHERE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """An attribute that is matched or returned. ``key`` is as asked; ``vr`` is the one of the answer."""

    tag: int
    vr: str
    origin: Origin
    attribute: Attribute | None
    key: Element


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A field and what decides about it."""

    field: Field
    matcher: Matcher


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanCondition:
    """A pair of date and time fields matched together."""

    date: Field
    time: Field
    span: DateTimeSpan


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A query ready to be run.

    ``fields`` are to be returned, sorted by tag. ``row_level`` is the level of the rows that are looked at: `level` or,
    when a key of a level below has a value, that one. ``is_complete`` is False when some key was not supported.
    """

    level: Level
    row_level: Level
    fields: tuple[Field, ...]
    conditions: tuple[Condition, ...]
    spans: tuple[SpanCondition, ...]
    zone: timezone | None
    is_complete: bool


def plan_query(query: Query) -> Plan:
    """Decide how to answer a query.

    Raises
    ------
    IdentifierDoesNotMatch
        If the level is not one of the model's, or a hierarchical query lacks a unique key.
    pacs.archive.matching.InvalidKey
        If a key has no meaning.
    """
    if query.level not in query.model.levels:
        raise IdentifierDoesNotMatch(0x00080052, f"{query.model.value} has no level {query.level.value}")
    if not query.is_relational:
        _require_unique_keys(query)
    candidates = [_field(tag, key, query.level) for tag, key in sorted(query.keys.items())]
    spans = _spans(candidates, query.options)
    spanned = {field.tag for span in spans for field in (span.date, span.time)}
    fields: list[Field] = []
    conditions: list[Condition] = []
    row_level = query.level
    for field in candidates:
        matcher = None if field.tag in spanned else compile_key(field.tag, field.key, query.options)
        level = query.level if field.attribute is None else field.attribute.level
        if level.depth > query.level.depth:
            if matcher is None and field.tag not in spanned:
                # Which of the series or instances below should it be?
                field = replace(field, origin=Origin.NOWHERE)
            elif level.depth > row_level.depth:
                row_level = level
        if matcher is not None and field.origin is not Origin.NOWHERE:
            conditions.append(Condition(field=field, matcher=matcher))
        # A private attribute means nothing without its creator, so it is not answered at all.
        if not field.tag >> 16 & 1:
            fields.append(field)
    return Plan(
        level=query.level,
        row_level=row_level,
        fields=tuple(fields),
        conditions=tuple(conditions),
        spans=tuple(spans),
        zone=query.zone,
        is_complete=len(fields) == len(candidates) and all(field.origin is not Origin.NOWHERE for field in fields),
    )


def _require_unique_keys(query: Query) -> None:
    """Check PS3.4 C.4.1.2.1: every level above has its unique key with a single value."""
    for level in query.model.levels:
        if level is query.level:
            return
        unique = UNIQUE_KEY[level]
        key = query.keys.get(unique.tag)
        text = "" if key is None else key.text.strip(" ")
        if not text:
            raise IdentifierDoesNotMatch(unique.tag, f"{unique.keyword} is needed for level {query.level.value}")
        if "\\" in text or "*" in text or "?" in text:
            raise IdentifierDoesNotMatch(unique.tag, f"{unique.keyword} must be one value")


def _field(tag: int, key: Element, level: Level) -> Field:
    attribute = ATTRIBUTE_BY_TAG.get(tag)
    if attribute is not None:
        key = _with_vr(tag, key, attribute.vr)
        return Field(tag=tag, vr=attribute.vr, origin=Origin.INDEX, attribute=attribute, key=key)
    vr = header_vr(tag) if level is Level.IMAGE else None
    if vr is None:
        return Field(tag=tag, vr=key.vr, origin=Origin.NOWHERE, attribute=None, key=key)
    return Field(tag=tag, vr=vr, origin=Origin.HEADER, attribute=None, key=_with_vr(tag, key, vr))


def index_or_header_field(tag: int, origin: Origin) -> Field:
    """Return a field for what is read though nobody asked for it: the other one of a date and time pair."""
    attribute = ATTRIBUTE_BY_TAG.get(tag) if origin is Origin.INDEX else None
    vr = "TM" if tag in DATE_TIME_PAIRS.values() else "DA"
    return Field(tag=tag, vr=vr, origin=origin, attribute=attribute, key=Element(vr=vr))


def _with_vr(tag: int, key: Element, vr: str) -> Element:
    """Return a key with the VR of the dictionary: the sender's says how to read the bytes, not what they mean."""
    if (key.items and vr != "SQ") or (key.text and vr == "SQ"):
        raise InvalidKey(tag, f"VR {key.vr} where {vr} is due")
    return Element(vr=vr, text=key.text, items=key.items)


def _spans(fields: list[Field], options: MatchingOptions) -> list[SpanCondition]:
    if not options.combined_date_time:
        return []
    by_tag = {field.tag: field for field in fields if field.origin is not Origin.NOWHERE}
    spans = []
    for date_tag, time_tag in DATE_TIME_PAIRS.items():
        date, time = by_tag.get(date_tag), by_tag.get(time_tag)
        if date is None or time is None:
            continue
        try:
            span = compile_date_time_span(date.key.text.strip(" "), time.key.text.strip(" "))
        except query_time.NotATime as error:
            raise InvalidKey(date_tag, str(error)) from error
        if span is not None:
            spans.append(SpanCondition(date=date, time=time, span=span))
    return spans
