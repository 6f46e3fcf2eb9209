"""The SQL of a query: which columns, from which tables, and conditions that leave out as much as an index can.

SQL only narrows: every row that matches must be among those selected, others may be (`pacs.archive.matching` decides).
So a condition may be left out here, and must be when the database compares otherwise than the matcher does.

The same statements run on SQLite and PostgreSQL but for wildcards: ``GLOB`` there and ``LIKE`` here, because only these
use an index ordered by code point.

References
----------
https://www.sqlite.org/optoverview.html#the_like_optimization,
https://www.postgresql.org/docs/15/indexes-opclass.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Integer, Select, Table, and_, func, literal, null, or_, select
from sqlalchemy.sql.elements import KeyedColumnElement

from pacs.archive.attributes import LEVELS, UNIQUE_KEY, Level, Source
from pacs.archive.matching import (
    AnyOf,
    AnyValue,
    Dates,
    ExactText,
    Matcher,
    NameMatch,
    NoValue,
    NumberValue,
    UidSet,
    Wildcard,
)
from pacs.archive.query_plan import Condition, Origin, Plan
from pacs.archive.schema import instance, pack, patient, series, study

TABLES: Final[Mapping[Level, Table]] = MappingProxyType(
    {Level.PATIENT: patient, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}
)
# Each table's link to the level above.
_LINKS: Final = MappingProxyType({Level.STUDY: "patient_pk", Level.SERIES: "study_pk", Level.IMAGE: "series_pk"})
# Person names have their folded form beside them.
NAME_KEY_COLUMNS: Final = MappingProxyType(
    {"patient_name": "patient_name_key", "referring_physician_name": "referring_physician_name_key"}
)
MODALITIES_IN_STUDY: Final = 0x00080061
# UIDs in one statement: SQLite takes 32,766 parameters, PostgreSQL 65,535; beyond some hundreds nothing is gained.
UIDS_PER_STATEMENT_MAX: Final = 500
# Alternatives spelt out in SQL for one key; more are left to the matcher.
_ALTERNATIVES_MAX: Final = 50
# Offsets from UTC differ by 26 hours at most.
_ZONE_DAYS_MAX: Final = 2
# PostgreSQL integers; a number outside is in no column.
_INTEGER_MAX: Final = 2**31 - 1
_LIKE_ESCAPE: Final = "!"


class Columns:
    """The columns that a query selects, each once, and where each is in a row."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self.selected: list[ColumnElement[Any]] = []
        self.levels: set[Level] = set()
        self.has_pack = False

    def position(self, level: Level, name: str) -> int:
        """Select a column of a level's table; return its position."""
        self.levels.add(level)
        return self._position(f"{level.value}.{name}", TABLES[level].c[name])

    def pack_name_position(self) -> int:
        """Select the name of the instance's pack; return its position."""
        self.levels.add(Level.IMAGE)
        self.has_pack = True
        return self._position("pack.name", pack.c.name)

    def patient_sum_position(self, study_column: str | None) -> int:
        """Select a sum over the studies of the row's patient; return its position."""
        self.levels.add(Level.PATIENT)
        of_patient = study.alias("study_of_patient")
        total: ColumnElement[Any] = func.count()
        if study_column is not None:
            total = func.coalesce(func.sum(of_patient.c[study_column]), 0)
        subquery = (
            select(total)
            .select_from(of_patient)
            .where(of_patient.c.patient_pk == patient.c.patient_pk)
            .correlate(patient)
            .scalar_subquery()
        )
        return self._position(f"sum.{study_column}", subquery)

    def _position(self, label: str, column: ColumnElement[Any]) -> int:
        if label not in self._positions:
            self._positions[label] = len(self.selected)
            self.selected.append(column.label(f"c{len(self.selected)}"))
        return self._positions[label]


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowing:
    """What narrowing needs to know beside the plan.

    ``modality_sets`` are the values of Modalities in Study that match the key for it, None when there is no such key.
    """

    is_sqlite: bool
    modality_sets: Sequence[str] | None


def statements(plan: Plan, columns: Columns, narrowing: Narrowing) -> Iterator[Select[Any]]:
    """Yield the statements whose rows, taken together, hold every match once per row of the row level."""
    levels = columns.levels | {plan.row_level}
    conditions = []
    uids: frozenset[str] | None = None
    own_key = UNIQUE_KEY[plan.level].tag
    for condition in plan.conditions:
        if condition.field.tag == own_key and isinstance(condition.matcher, UidSet):
            uids = condition.matcher.uids
            levels.add(plan.level)
            continue
        narrowed = _narrow_condition(condition, plan, narrowing)
        if narrowed is not None:
            conditions.append(narrowed)
            levels.add(_level_of(condition))
    for span in plan.spans:
        attribute = span.date.attribute
        if attribute is not None and attribute.source is Source.COLUMN:
            column = TABLES[attribute.level].c[str(attribute.column)]
            low, high = (None if bound is None else bound[0] for bound in (span.span.low, span.span.high))
            conditions.append(_between(column, low, high, is_shifted=plan.zone is not None))
            levels.add(attribute.level)
    statement = select(*columns.selected or [literal(1)]).select_from(_joined(plan.row_level, levels, columns.has_pack))
    statement = statement.where(and_(True, *conditions))
    if uids is None:
        yield statement
        return
    key_column = TABLES[plan.level].c[str(UNIQUE_KEY[plan.level].column)]
    ordered = sorted(uids)
    for start in range(0, len(ordered), UIDS_PER_STATEMENT_MAX):
        yield statement.where(key_column.in_(ordered[start : start + UIDS_PER_STATEMENT_MAX]))


def modality_sets_statement() -> Select[Any]:
    """Return a statement for the distinct values of Modalities in Study, read by skipping through their index.

    There are some dozens of combinations whatever the number of studies; ``SELECT DISTINCT`` would read them all.
    """
    column = study.c.modalities_in_study
    first = select(func.min(column).label("modalities")).cte("modality_set", recursive=True)
    following = select(func.min(column)).where(column > first.c.modalities).correlate(first).scalar_subquery()
    chain = first.union_all(select(following).where(first.c.modalities.is_not(null())))
    return select(chain.c.modalities).where(chain.c.modalities.is_not(null()))


def _joined(row_level: Level, levels: set[Level], has_pack: bool) -> FromClause:
    """Join the tables from the row level up to the highest that is needed."""
    highest = min(level.depth for level in levels)
    joined: FromClause = TABLES[row_level]
    for depth in range(row_level.depth, highest, -1):
        below, above = LEVELS[depth], LEVELS[depth - 1]
        link = _LINKS[below]
        joined = joined.join(TABLES[above], TABLES[above].c[link] == TABLES[below].c[link])
    if has_pack:
        joined = joined.join(pack, pack.c.pack_pk == instance.c.pack_pk)
    return joined


def _level_of(condition: Condition) -> Level:
    assert condition.field.attribute is not None
    return condition.field.attribute.level


def _narrow_condition(condition: Condition, plan: Plan, narrowing: Narrowing) -> ColumnElement[bool] | None:
    """Return SQL that holds for every match of a condition, or None when there is nothing useful to say."""
    field, matcher = condition.field, condition.matcher
    attribute = field.attribute
    if field.origin is not Origin.INDEX or attribute is None:
        return None
    if attribute.source is Source.JSON:
        return _narrow_json(TABLES[attribute.level].c.attributes, matcher)
    if attribute.source is not Source.COLUMN:
        return None
    name = str(attribute.column)
    columns = TABLES[attribute.level].c
    if field.tag == MODALITIES_IN_STUDY:
        return None if narrowing.modality_sets is None else columns[name].in_(narrowing.modality_sets)
    if attribute.vr == "PN":
        return _narrow_name(columns[NAME_KEY_COLUMNS[name]], matcher, narrowing.is_sqlite)
    return _narrow(columns[name], matcher, narrowing.is_sqlite, is_shifted=plan.zone is not None)


def _narrow(
    column: KeyedColumnElement[Any], matcher: Matcher, is_sqlite: bool, *, is_shifted: bool
) -> ColumnElement[bool] | None:
    match matcher:
        case ExactText(value=value):
            return column == value
        case UidSet(uids=uids) if len(uids) <= UIDS_PER_STATEMENT_MAX:
            return column.in_(sorted(uids))
        case Wildcard():
            return _like(column, matcher.segments, is_sqlite)
        case Dates(range=dates):
            return _between(column, dates.low, dates.high, is_shifted=is_shifted)
        case NumberValue(value=value) if isinstance(column.type, Integer):
            is_storable = value == int(value) and abs(value) <= _INTEGER_MAX
            return column == int(value) if is_storable else literal(1) == 0
        case NoValue():
            return column.is_(null()) if isinstance(column.type, Integer) else column.in_(["", '""'])
        case AnyOf(matchers=matchers) if len(matchers) <= _ALTERNATIVES_MAX:
            parts = [_narrow(column, part, is_sqlite, is_shifted=is_shifted) for part in matchers]
            known = [part for part in parts if part is not None]
            return or_(*known) if len(known) == len(parts) else None
        case AnyValue(matcher=UidSet(uids=uids)) if len(uids) <= _ALTERNATIVES_MAX:
            return or_(*(column.contains(uid, autoescape=True) for uid in sorted(uids)))
        case _:
            return None


def _between(
    column: KeyedColumnElement[Any], low: str | None, high: str | None, *, is_shifted: bool
) -> ColumnElement[bool]:
    """Return the range of dates; moved to another zone, a date may come from days around it."""
    if is_shifted:
        low, high = _moved(low, -_ZONE_DAYS_MAX), _moved(high, _ZONE_DAYS_MAX)
    if low is not None and low == high:
        return column == low
    bounds: list[ColumnElement[bool]] = []
    if low is not None:
        bounds.append(column >= low)
    # A value that is no date ('' above all) must not widen the range that an index is read over.
    bounds.append(column <= (high if high is not None else "99999999"))
    if low is None:
        bounds.append(column >= "0")
    return and_(*bounds)


def _moved(day: str | None, days: int) -> str | None:
    if day is None:
        return None
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved:%m%d}"


def _narrow_name(column: KeyedColumnElement[Any], matcher: Matcher, is_sqlite: bool) -> ColumnElement[bool] | None:
    """Narrow on a folded person name by what its first component group must begin with."""
    if isinstance(matcher, NoValue):
        return column.in_(["", '""'])
    if not isinstance(matcher, NameMatch):
        return None
    pattern = matcher.groups[0]
    if pattern is None:
        return None
    # The longest piece of text is somewhere in the name; its outer carets may be left out there.
    longest = max((literal_text.strip("^") for literal_text in pattern.literals), key=len)
    somewhere = column.contains(longest, autoescape=True) if longest else None
    if matcher.any_group:
        return somewhere
    if not pattern.has_wildcards:
        return or_(column == pattern.prefix, _like(column, ((f"{pattern.prefix}=",), ("",)), is_sqlite))
    # Components at the end may be left out of the name, and their carets with them.
    prefix = pattern.prefix.rstrip("^")
    if prefix:
        return _like(column, ((prefix,), ("",)), is_sqlite)
    return somewhere


def _narrow_json(column: KeyedColumnElement[Any], matcher: Matcher) -> ColumnElement[bool] | None:
    """Narrow on the text of a DICOM JSON object: a plain value is in it as it is."""
    if isinstance(matcher, AnyValue):
        matcher = matcher.matcher
    if isinstance(matcher, ExactText) and _is_plain_in_json(matcher.value):
        return column.contains(matcher.value, autoescape=True)
    if isinstance(matcher, UidSet) and len(matcher.uids) <= _ALTERNATIVES_MAX:
        return or_(*(column.contains(uid, autoescape=True) for uid in sorted(matcher.uids)))
    return None


def _is_plain_in_json(value: str) -> bool:
    return value.isascii() and value.isprintable() and not set(value) & set('"\\/')


def _like(column: KeyedColumnElement[Any], segments: Sequence[Sequence[str]], is_sqlite: bool) -> ColumnElement[bool]:
    """Compare with a pattern: text split at asterisks, each part at question marks."""
    if is_sqlite:
        quoted = "*".join("?".join(_quote_glob(piece) for piece in pieces) for pieces in segments)
        return column.op("GLOB", is_comparison=True)(quoted)
    quoted = "%".join("_".join(_quote_like(piece) for piece in pieces) for pieces in segments)
    return column.like(quoted, escape=_LIKE_ESCAPE)


def _quote_glob(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _quote_like(text: str) -> str:
    return "".join(_LIKE_ESCAPE + character if character in "%_!" else character for character in text)
