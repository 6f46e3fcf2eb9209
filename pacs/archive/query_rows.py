"""Reading selected rows: the values of fields, the decision about a row, and what is answered from it.

`RowReader` compiles a plan once into small functions; each row then costs some microseconds. JSON attributes are parsed
and headers read only for rows that get that far.

Not for SQL (`pacs.archive.query_sql`) or for the semantics of matching (`pacs.archive.matching`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timezone, tzinfo
from typing import Any, Final, Protocol, TypeAlias

from pydicom.dataset import Dataset
from sqlalchemy import Integer

from foundation.errors import Unavailable
from pacs.archive.attributes import Attribute, Level, Source
from pacs.archive.matching import FuzzyName, Matcher, NameMatch, SequenceMatch
from pacs.archive.query_plan import (
    DATE_TIME_PAIRS,
    TIMEZONE_OFFSET_FROM_UTC,
    Condition,
    Field,
    Origin,
    Plan,
    index_or_header_field,
)
from pacs.archive.query_sql import NAME_KEY_COLUMNS, TABLES, Columns
from pacs.archive.query_time import parse_offset, shift_date_time
from pacs.archive.query_values import Element, Item, element_from_json, from_dataset
from pacs.contracts import InstanceRef, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

# Sequences of a stored header that are looked into; deeper ones are not answered.
HEADER_DEPTH_MAX: Final = 8

# What is answered for a field: text, or the items of a sequence.
Value: TypeAlias = str | tuple[Item, ...]
_TextOf: TypeAlias = Callable[["Entity"], str]
_ItemsOf: TypeAlias = Callable[["Entity"], tuple[Item, ...]]


class HeaderReader(Protocol):
    """Port to stored headers."""

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        """Return a stored instance's data set up to its pixel data.

        Raises
        ------
        foundation.errors.TelegardeError
            If the bytes cannot be had or read.
        """


class IndexDamaged(Unavailable):
    """A row of the index cannot be read; `telegarde reindex` makes it again."""

    def __init__(self) -> None:
        super().__init__("the index is damaged; run telegarde reindex", is_retryable=False)


class Entity:
    """One row, with what has been parsed of it."""

    __slots__ = ("_header", "_json", "_read_header", "row")

    def __init__(self, row: Sequence[Any], read_header: Callable[[Sequence[Any]], Item]) -> None:
        self.row = row
        self._read_header = read_header
        self._json: dict[int, Mapping[str, Any]] = {}
        self._header: Item | None = None

    def json(self, position: int) -> Mapping[str, Any]:
        """Return the JSON object in a column, parsed once."""
        parsed = self._json.get(position)
        if parsed is None:
            try:
                parsed = json.loads(self.row[position])
            except ValueError as error:
                raise IndexDamaged from error
            if not isinstance(parsed, dict):
                raise IndexDamaged
            self._json[position] = parsed
        return parsed

    def header(self) -> Item:
        """Return the stored header of the instance, read once."""
        if self._header is None:
            self._header = self._read_header(self.row)
        return self._header


class RowReader:
    """A plan compiled for its rows.

    Parameters
    ----------
    plan : Plan
        What is asked.
    columns : Columns
        Takes the columns that are needed; complete when this constructor returns.
    facts : mapping
        Values of `Source.ARCHIVE` attributes by keyword.
    headers : HeaderReader
        Used at the IMAGE level, for attributes without a column.
    zone : tzinfo
        Of indexed dates and times whose study names none.
    """

    def __init__(
        self, plan: Plan, columns: Columns, facts: Mapping[str, str], headers: HeaderReader, zone: tzinfo
    ) -> None:
        self._columns = columns
        self._facts = facts
        self._headers = headers
        self._zone = zone
        self._target = plan.zone
        self._asked = {field.tag: field for field in plan.fields}
        self.headers_read = 0
        self._ref_positions = self._select_ref() if _needs_headers(plan) else ()
        tests: list[tuple[bool, Callable[[Entity], bool]]] = [
            (condition.field.origin is Origin.HEADER, self._test(condition)) for condition in plan.conditions
        ]
        for span in plan.spans:
            date_of, time_of, decide = self._text(span.date), self._text(span.time), span.span.matches
            is_header = Origin.HEADER in (span.date.origin, span.time.origin)
            tests.append((is_header, lambda e, d=date_of, t=time_of, m=decide: m(d(e), t(e))))  # type: ignore[misc]  # defaults bind the loop's values
        # What costs nothing first: a header is only read when all else matches.
        self._tests = [test for _, test in sorted(tests, key=lambda pair: pair[0])]
        matchers = {condition.field.tag: condition.matcher for condition in plan.conditions}
        self._values = [self._value(field, matchers.get(field.tag)) for field in plan.fields]
        self._identity = [columns.position(plan.level, name) for name in _KEY_COLUMNS[plan.level]]

    def entity(self, row: Sequence[Any]) -> Entity:
        """Wrap a row."""
        return Entity(row, self._read_header)

    def matches(self, entity: Entity) -> bool:
        """Say whether the row matches every key."""
        return all(test(entity) for test in self._tests)

    def identity(self, entity: Entity) -> tuple[Any, ...]:
        """Return what tells the entity of the query level from others."""
        row = entity.row
        return tuple([row[position] for position in self._identity])

    def values(self, entity: Entity) -> list[Value]:
        """Return the values of the plan's fields, in their order."""
        return [value(entity) for value in self._values]

    # --- compiling -------------------------------------------------------------------------------

    def _test(self, condition: Condition) -> Callable[[Entity], bool]:
        matcher, field = condition.matcher, condition.field
        if isinstance(matcher, SequenceMatch):
            items_of, matches_items = self._items(field), matcher.matches_items
            return lambda entity: matches_items(items_of(entity))
        attribute = field.attribute
        key_column = NAME_KEY_COLUMNS.get(str(attribute.column)) if attribute else None
        if attribute and key_column and isinstance(matcher, NameMatch | FuzzyName):
            position = self._columns.position(attribute.level, key_column)
            matches_key = matcher.matches_key
            return lambda entity: matches_key(entity.row[position])
        text_of, matches = self._text(field), matcher.matches
        return lambda entity: matches(text_of(entity))

    def _value(self, field: Field, matcher: Matcher | None) -> Callable[[Entity], Value]:
        if field.origin is Origin.NOWHERE:
            nothing: Value = () if field.vr == "SQ" else ""
            return lambda _entity: nothing
        if field.vr != "SQ":
            return self._text(field)
        items_of = self._items(field)
        sequence = matcher if isinstance(matcher, SequenceMatch) else None
        key = field.key
        return lambda entity: select_items(items_of(entity), key, sequence)

    def _text(self, field: Field) -> _TextOf:
        plain = self._plain_text(field)
        if self._target is None:
            return plain
        for date_tag, time_tag in DATE_TIME_PAIRS.items():
            if field.tag in (date_tag, time_tag):
                date_of, time_of = self._sibling(date_tag, field), self._sibling(time_tag, field)
                return self._moved(date_of, time_of, plain, is_date=field.tag == date_tag, target=self._target)
        return plain

    def _plain_text(self, field: Field) -> _TextOf:
        attribute, tag = field.attribute, field.tag
        if field.origin is Origin.HEADER or attribute is None:
            return lambda entity: _text_of(entity.header().get(tag))
        if attribute.source is Source.ARCHIVE:
            fact = self._facts.get(attribute.keyword, "")
            return lambda _entity: fact
        if attribute.source is Source.JSON:
            position, member = self._columns.position(attribute.level, "attributes"), f"{tag:08X}"
            return lambda entity: _text_of(_member(entity, position, member))
        if attribute.source is Source.PATIENT_SUM:
            position = self._columns.patient_sum_position(attribute.column)
            return lambda entity: str(entity.row[position])
        return self._column_text(attribute)

    def _column_text(self, attribute: Attribute) -> _TextOf:
        name = str(attribute.column)
        position = self._columns.position(attribute.level, name)
        if isinstance(TABLES[attribute.level].c[name].type, Integer):
            return lambda entity: "" if (number := entity.row[position]) is None else str(number)
        return lambda entity: entity.row[position]

    def _items(self, field: Field) -> _ItemsOf:
        attribute, tag = field.attribute, field.tag
        if field.origin is Origin.HEADER or attribute is None:
            return lambda entity: _items_of(entity.header().get(tag))
        position, member = self._columns.position(attribute.level, "attributes"), f"{tag:08X}"
        return lambda entity: _items_of(_member(entity, position, member))

    # --- another time zone -----------------------------------------------------------------------

    def _sibling(self, tag: int, like: Field) -> _TextOf:
        """Read the other one of a date and time pair, asked for or not."""
        return self._plain_text(self._asked.get(tag) or index_or_header_field(tag, like.origin))

    def _moved(self, date_of: _TextOf, time_of: _TextOf, plain: _TextOf, *, is_date: bool, target: timezone) -> _TextOf:
        position = self._columns.position(Level.STUDY, "attributes")
        part = 0 if is_date else 1

        def moved(entity: Entity) -> str:
            offset = _text_of(_member(entity, position, f"{TIMEZONE_OFFSET_FROM_UTC:08X}"))
            source = parse_offset(offset) or self._zone
            pair = shift_date_time(date_of(entity), time_of(entity), source, target)
            return plain(entity) if pair is None else pair[part]

        return moved

    # --- headers ---------------------------------------------------------------------------------

    def _select_ref(self) -> tuple[int, ...]:
        position = self._columns.position
        return (
            position(Level.STUDY, "study_instance_uid"),
            position(Level.SERIES, "series_instance_uid"),
            position(Level.IMAGE, "sop_instance_uid"),
            position(Level.IMAGE, "sop_class_uid"),
            position(Level.IMAGE, "transfer_syntax_uid"),
            self._columns.pack_name_position(),
            position(Level.IMAGE, "file_offset"),
            position(Level.IMAGE, "file_length_bytes"),
            position(Level.IMAGE, "dataset_offset"),
            position(Level.IMAGE, "digest"),
            position(Level.IMAGE, "is_damaged"),
        )

    def _read_header(self, row: Sequence[Any]) -> Item:
        study, series, sop, sop_class, syntax, pack, offset, length, dataset, digest, is_damaged = [
            row[position] for position in self._ref_positions
        ]
        if is_damaged:
            # Kept as evidence although it cannot be parsed: it has no attributes beyond those of the index.
            return {}
        self.headers_read += 1
        ref = InstanceRef(
            study_instance_uid=StudyInstanceUid(study),
            series_instance_uid=SeriesInstanceUid(series),
            sop_instance_uid=SopInstanceUid(sop),
            sop_class_uid=sop_class,
            transfer_syntax_uid=syntax,
            pack=pack,
            offset=offset,
            length_bytes=length,
            dataset_offset=dataset,
            digest=bytes(digest),
        )
        return from_dataset(self._headers.read_dataset(ref), HEADER_DEPTH_MAX)


_KEY_COLUMNS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("patient_pk",),
    Level.STUDY: ("study_pk",),
    Level.SERIES: ("series_pk",),
    Level.IMAGE: ("series_pk", "sop_instance_uid"),
}


def _needs_headers(plan: Plan) -> bool:
    return any(field.origin is Origin.HEADER for field in plan.fields)


def _member(entity: Entity, position: int, member: str) -> Element | None:
    value = entity.json(position).get(member)
    if value is None:
        return None
    try:
        return element_from_json(value)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise IndexDamaged from error


def _text_of(element: Element | None) -> str:
    return "" if element is None else element.text


def _items_of(element: Element | None) -> tuple[Item, ...]:
    return () if element is None else element.items


def select_items(items: tuple[Item, ...], key: Element, matcher: SequenceMatch | None) -> tuple[Item, ...]:
    """Return what is answered for a sequence: the matching items with the attributes asked for (PS3.4 C.2.2.2.6).

    A key without an item, or with an empty one, asks for whole items.
    """
    if matcher is not None:
        items = tuple(item for item in items if matcher.matches_item(item))
    if not key.items or not key.items[0]:
        return items
    asked = key.items[0]
    inner = {} if matcher is None else dict(matcher.keys)
    return tuple({tag: _select(item.get(tag), asked[tag], inner.get(tag)) for tag in asked} for item in items)


def _select(element: Element | None, key: Element, matcher: Matcher | None) -> Element:
    if element is None:
        return Element(vr=key.vr)
    if element.vr != "SQ":
        return element
    sequence = matcher if isinstance(matcher, SequenceMatch) else None
    return Element(vr="SQ", items=select_items(element.items, key, sequence))
