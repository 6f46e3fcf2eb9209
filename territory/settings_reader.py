"""Reads one TOML table into one frozen dataclass, collecting every problem instead of stopping at the first.

For: the mechanics (types, ranges, unknown keys, suggestions). Not for: what the settings are (`territory.settings`) or
how they fit together (`territory.settings_checks`).

Each dataclass field made by `setting` carries the reader of its value. A reader takes what TOML gave and returns
the typed value, or raises `Invalid` with a text of `territory.settings_messages`.
"""

import dataclasses
import difflib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from foundation.errors import TelegardeError
from territory import settings_messages as messages

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)
_READER: Final = "reader"

PORT_MAX: Final = 65_535
"""TCP."""

AE_TITLE_CHARACTERS_MAX: Final = 16
"""PS3.5 6.2, VR AE."""

UID_CHARACTERS_MAX: Final = 64
"""PS3.5 9.1."""

STANDARD_UID_ROOT: Final = "1.2.840.10008."
"""Every UID that DICOM registers begins with it (PS3.5 9); a private SOP class never does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with a settings file: where (`dicom.port`, `peers[2].aet`) and what to do."""

    key: str
    message: str

    def __str__(self) -> str:
        """Return ``key: message``."""
        return f"{self.key}: {self.message}"


class InvalidSettings(TelegardeError):
    """The settings cannot be used.

    Parameters
    ----------
    source : str
        The file (or the command line) they came from.
    problems : sequence of Problem
        All of them, in the order of the file's sections.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(
            "\n".join([f"{source}: {len(problems)} problem(s)", *(f"  {problem}" for problem in problems)])
        )
        self.source = source
        self.problems = tuple(problems)


class Invalid(Exception):
    """A value that cannot be used; the message says what is wanted."""


Reader = Callable[[Any], _T]


def setting(reader: Reader[_T], default: _T) -> _T:
    """Declare a dataclass field read from TOML by `reader`, with a default (the return type is for the checker)."""
    return dataclasses.field(default=default, metadata={_READER: reader})


def required(reader: Reader[_T]) -> _T:
    """Declare a dataclass field that must be given."""
    return dataclasses.field(metadata={_READER: reader})  # type: ignore[no-any-return]  # typed as Any without default


def reader_of(field: dataclasses.Field[Any]) -> Reader[Any]:
    """Return the reader that a field was declared with."""
    reader: Reader[Any] = field.metadata[_READER]
    return reader


def keys_of(table_type: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """Return the settable fields of a settings dataclass by key."""
    return {field.name: field for field in dataclasses.fields(table_type) if _READER in field.metadata}


def read_table(
    table_type: type[_T],
    table: object,
    *,
    key: str,
    problems: list[Problem],
    tables: Mapping[str, object] | None = None,
) -> _T | None:
    """Read one table; append what is wrong to `problems` and return None then.

    Parameters
    ----------
    tables : mapping, optional
        Values of the fields that are not read from this table's keys (nested tables, already read).
    """
    nested = tables or {}
    if not isinstance(table, dict):
        problems.append(Problem(key=key, message=messages.TABLE_WANTED))
        return None
    fields = keys_of(table_type)
    problems_before = len(problems)
    refuse_unknown(table, known=[*fields, *nested], key=key, problems=problems)
    values: dict[str, object] = dict(nested)
    for name, field in fields.items():
        path = join(key, name)
        if name not in table:
            if field.default is dataclasses.MISSING:
                problems.append(Problem(key=path, message=messages.KEY_MISSING))
            continue
        try:
            values[name] = reader_of(field)(table[name])
        except Invalid as error:
            problems.append(Problem(key=path, message=str(error)))
    return table_type(**values) if len(problems) == problems_before else None


def refuse_unknown(table: Mapping[str, object], *, known: Sequence[str], key: str, problems: list[Problem]) -> None:
    """Append a problem for each key that is not known, with the nearest known key if one is near."""
    for name in table:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        message = messages.UNKNOWN_KEY_NEAR.format(near=near[0]) if near else messages.UNKNOWN_KEY
        problems.append(Problem(key=join(key, name), message=message))


def join(key: str, name: str) -> str:
    """Return the path of a key inside a table; the root's path is ''."""
    return f"{key}.{name}" if key else name


def text(value: Any) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise Invalid(messages.TEXT_WANTED)
    return value


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise Invalid(messages.BOOLEAN_WANTED)
    return value


def whole_number(least: int, most: int) -> Reader[int]:
    """Return a reader of whole numbers within bounds, both included."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(messages.WHOLE_NUMBER_WANTED.format(least=least, most=most))
        return value

    return read


def number(least: float, most: float) -> Reader[float]:
    """Return a reader of numbers within bounds, both included (NaN is not within any)."""

    def read(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(messages.NUMBER_WANTED.format(least=least, most=most))
        return float(value)

    return read


port: Final = whole_number(1, PORT_MAX)


def choice(choices: type[_E]) -> Reader[_E]:
    """Return a reader of one of an enumeration's values."""

    def read(value: Any) -> _E:
        try:
            return choices(value)
        except ValueError:
            raise Invalid(messages.CHOICE_WANTED.format(choices=", ".join(choices))) from None

    return read


def list_of(reader: Reader[_T]) -> Reader[tuple[_T, ...]]:
    """Return a reader of lists without repetition."""

    def read(value: Any) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise Invalid(messages.LIST_WANTED)
        items = tuple(reader(item) for item in value)
        if len(set(items)) != len(items):
            raise Invalid(messages.LISTED_TWICE)
        return items

    return read


def ae_title(value: Any) -> str:
    """Read an AE title; spaces around it mean nothing (PS3.5 6.2) and are dropped."""
    title = text(value).strip(" ")
    is_allowed = title.isascii() and title.isprintable() and "\\" not in title
    if not 1 <= len(title) <= AE_TITLE_CHARACTERS_MAX or not is_allowed:
        raise Invalid(messages.AE_TITLE_WANTED)
    return title


def ae_title_or_star(value: Any) -> str:
    """Read an AE title, or ``*`` for every one."""
    return "*" if value == "*" else ae_title(value)


def network(value: Any) -> Network:
    """Read an IP address or network."""
    try:
        return ipaddress.ip_network(text(value))
    except ValueError:
        raise Invalid(messages.NETWORK_WANTED) from None


def private_sop_class(value: Any) -> str:
    """Read a private SOP Class UID, a prefix of such (ending in a dot) or ``*``."""
    uid = text(value)
    if uid == "*":
        return uid
    components = uid.removesuffix(".").split(".")
    is_uid = all(part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") for part in components)
    if not is_uid or len(components) < 2 or len(uid) > UID_CHARACTERS_MAX or f"{uid}.".startswith(STANDARD_UID_ROOT):
        raise Invalid(messages.SOP_CLASS_WANTED)
    return uid


def absolute_path(value: Any) -> Path:
    """Read an absolute file or directory path."""
    path = Path(text(value))
    if not path.is_absolute():
        raise Invalid(messages.ABSOLUTE_PATH_WANTED)
    return path


def host_name(value: Any) -> str:
    """Read a host name or IP address (resolved when used, not now)."""
    host = text(value)
    if not host or not host.isascii() or not host.isprintable() or set(host) & set(' /"@\\'):
        raise Invalid(messages.HOST_WANTED)
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise Invalid(messages.HOST_WANTED) from None
    return host
