"""Reading documents strictly: every key known, every value of its type, and an error that says where.

For: documents that people edit or that other programs export. Not for: what a document means.

Invariants: nothing is guessed or dropped. What is wrong in one item of a list does not hide what is wrong in the next:
`Value.each` collects the problems of all, up to `PROBLEMS_MAX`. Messages name places, rules and identifiers, no other
values: a document may hold telephone numbers.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import Enum
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foundation.errors import PeerError

# A document with more is not read to its end: whoever mends the first ones will see the rest.
PROBLEMS_MAX: Final = 50
# Twice what a territory of a hundred hospitals with a year of written-down shifts takes.
DOCUMENT_BYTES_MAX: Final = 32 * 1024 * 1024
_SHOWN_CHARACTERS_MAX: Final = 40
# Of instants: what lies beyond cannot be reckoned with in every time zone, and nobody plans for it.
_YEARS: Final = range(1900, 2201)

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Enum)


class DocumentInvalid(PeerError):
    """A document cannot be used.

    Parameters
    ----------
    problems : sequence of str
        Each ``place: what is wanted``, in the document's order.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = self.problems[:PROBLEMS_MAX]
        more = len(self.problems) - len(shown)
        lines = [f"{len(self.problems)} problem(s) in the document; nothing was taken from it", *shown]
        super().__init__("\n  ".join([*lines, *([f"... and {more} more"] if more else [])]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A JSON value and where it stands (``persons[3].rpps``)."""

    place: str
    raw: Any

    def wrong(self, wanted: str) -> DocumentInvalid:
        """Return the error for this value."""
        return DocumentInvalid([f"{self.place}: {wanted}"])

    def text(self, *, characters_max: int = 200) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.raw, str) or not self.raw.strip():
            raise self.wrong("a text that is not empty is wanted")
        if len(self.raw) > characters_max:
            raise self.wrong(f"at most {characters_max} characters are allowed")
        return self.raw

    def any_text(self) -> str:
        """Return a text that may be empty."""
        if not isinstance(self.raw, str):
            raise self.wrong("a text is wanted")
        return self.raw

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.raw, bool):
            raise self.wrong("true or false is wanted")
        return self.raw

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        if not isinstance(self.raw, int) or isinstance(self.raw, bool) or not low <= self.raw <= high:
            raise self.wrong(f"a whole number from {low} to {high} is wanted")
        return self.raw

    def number(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        if not isinstance(self.raw, int | float) or isinstance(self.raw, bool) or not low <= self.raw <= high:
            raise self.wrong(f"a number from {low:g} to {high:g} is wanted")
        return float(self.raw)

    def wall_time(self) -> time:
        """Return a wall time written ``HH:MM``."""
        try:
            read = time.fromisoformat(self.text())
        except ValueError:
            raise self.wrong("a wall time like 18:30 is wanted") from None
        if read.tzinfo is not None or read.second or read.microsecond:
            raise self.wrong("a wall time has hours and minutes only; the time zone stands beside it")
        return read

    def instant(self) -> datetime:
        """Return an instant with its offset, like ``2026-10-25T02:30+02:00``."""
        try:
            read = datetime.fromisoformat(self.text())
        except ValueError:
            raise self.wrong("an instant like 2026-10-25T02:30+02:00 is wanted") from None
        if read.year not in _YEARS:
            raise self.wrong(f"a year from {_YEARS[0]} to {_YEARS[-1]} is wanted")
        if read.tzinfo is None:
            raise self.wrong(
                "an instant needs its offset from UTC, like +02:00 or Z: without it two nights are unclear"
            )
        return read

    def time_zone(self) -> str:
        """Return the name of an IANA time zone that this machine knows."""
        name = self.text()
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self.wrong("an IANA time zone like Europe/Paris is wanted") from None
        return name

    def one_of(self, values: type[_E]) -> _E:
        """Return a member of an enumeration, written by its value (or its name in small letters when a number)."""
        names = {_written(member): member for member in values}
        if not isinstance(self.raw, str) or self.raw not in names:
            raise self.wrong(f"one of {', '.join(names)} is wanted{_near(self.raw, names)}")
        return names[self.raw]

    def members(self) -> Mapping[str, "Value"]:
        """Return the members of an object whose keys are data (identifiers, not words of the format)."""
        if not isinstance(self.raw, dict):
            raise self.wrong("an object is wanted")
        return {key: Value(place=f"{self.place}.{key}", raw=raw) for key, raw in self.raw.items()}

    def record(self, required: Iterable[str], optional: Iterable[str] = ()) -> "Record":
        """Return an object with these keys and no others."""
        if not isinstance(self.raw, dict):
            raise self.wrong("an object is wanted")
        required = tuple(required)
        known = {*required, *optional}
        problems = [f"{self.place}.{key}: is missing" for key in required if key not in self.raw]
        problems += [
            f"{self.place}.{_shown(key)}: no such key{_near(key, known)}" for key in self.raw if key not in known
        ]
        if problems:
            raise DocumentInvalid(problems)
        return Record(self)

    def loose(self) -> "Record":
        """Return an object whose other keys are nobody's business: exports of other programs grow keys."""
        if not isinstance(self.raw, dict):
            raise self.wrong("an object is wanted")
        return Record(self)

    def items(self, *, items_max: int) -> "list[Value]":
        """Return the items of a list."""
        if not isinstance(self.raw, list):
            raise self.wrong("a list is wanted")
        if len(self.raw) > items_max:
            raise self.wrong(f"at most {items_max} items are allowed")
        return [Value(place=f"{self.place}[{number}]", raw=raw) for number, raw in enumerate(self.raw)]

    def each(self, read: Callable[["Value"], _T], *, items_max: int) -> list[_T]:
        """Read every item of a list; the problems of all of them are raised together."""
        return collected(self.items(items_max=items_max), read)


class Record:
    """An object whose keys have been looked at."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def __getitem__(self, key: str) -> Value:
        """Return the value of a key; the caller asked for it as required, or knows that it is there."""
        if key not in self._value.raw:
            raise DocumentInvalid([f"{self._value.place}.{key}: is missing"])
        return Value(place=f"{self._value.place}.{key}", raw=self._value.raw[key])

    def get(self, key: str, read: Callable[[Value], _T], default: _T) -> _T:
        """Read an optional key; ``null`` is as good as absent."""
        if self._value.raw.get(key) is None:
            return default
        return read(self[key])

    def each(self, key: str, read: Callable[[Value], _T], *, items_max: int) -> list[_T]:
        """Read the items of an optional list; absent is empty."""
        return [] if self._value.raw.get(key) is None else self[key].each(read, items_max=items_max)

    @property
    def place(self) -> str:
        """Where the object stands."""
        return self._value.place


def collected(values: Iterable[Value], read: Callable[[Value], _T]) -> list[_T]:
    """Read values one by one and raise the problems of all of them together.

    Raises
    ------
    DocumentInvalid
        If any of them has one.
    """
    done: list[_T] = []
    problems: list[str] = []
    for value in values:
        try:
            done.append(read(value))
        except DocumentInvalid as error:
            problems.extend(error.problems)
        if len(problems) > PROBLEMS_MAX:
            break
    if problems:
        raise DocumentInvalid(problems)
    return done


def duplicates(place: str, keys: Iterable[str]) -> list[str]:
    """Return a problem for each key that occurs again."""
    seen: set[str] = set()
    problems = []
    for key in keys:
        if key in seen:
            problems.append(f"{place}: {_shown(key)} is there twice")
        seen.add(key)
    return problems


def unique(place: str, keys: Iterable[str]) -> None:
    """Refuse a key that occurs twice."""
    problems = duplicates(place, keys)
    if problems:
        raise DocumentInvalid(problems)


def parse(text: str | bytes) -> Value:
    """Return the value of a JSON text; a key that is there twice in one object is refused.

    Raises
    ------
    DocumentInvalid
        If it is no JSON, or longer than `DOCUMENT_BYTES_MAX`.
    """
    if len(text) > DOCUMENT_BYTES_MAX:
        raise DocumentInvalid([f"document: at most {DOCUMENT_BYTES_MAX} bytes are read"])
    try:
        return Value(place="document", raw=json.loads(text, object_pairs_hook=_object, parse_constant=_constant))
    except json.JSONDecodeError as error:
        raise DocumentInvalid([f"line {error.lineno}, column {error.colno}: no JSON ({error.msg})"]) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise DocumentInvalid([f"document: no JSON in UTF-8 ({type(error).__name__})"]) from None


def canonical(document: Mapping[str, Any]) -> str:
    """Return the one text of a document: sorted keys, no spaces, so that equal documents are equal texts."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique("document", (key for key, _ in pairs))
    return dict(pairs)


def _constant(name: str) -> Any:
    raise DocumentInvalid([f"document: {name} is no number"])


def _written(member: Enum) -> str:
    return member.value if isinstance(member.value, str) else member.name.lower()


def _near(given: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(given, list(known), n=1) if isinstance(given, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def _shown(key: str) -> str:
    return key if len(key) <= _SHOWN_CHARACTERS_MAX else f"{key[:_SHOWN_CHARACTERS_MAX]}..."
