"""Facts of the conformance statement about configuration: what every setting takes, its default and its meaning.

For: `territory.conformance`. Keys and defaults are those of `territory.settings_model`; what a value must be is asked
of the setting's own reader, by giving it nonsense; the meaning is the comment in `telegarde.example.toml`.

References
----------
PS3.2 N.6
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from territory import settings_checks, settings_messages, settings_model
from territory.conformance_markdown import code, seconds, size, table, text
from territory.settings_hl7 import Hl7, Hl7Destination, Hl7Sender
from territory.settings_model import (
    Archive,
    Dicom,
    Http,
    Limits,
    Oncall,
    OncallDelivery,
    OncallEmail,
    OncallImages,
    OncallTimeStamps,
    OncallWeb,
    Peer,
    Storage,
    Timeouts,
    Tls,
)
from territory.settings_reader import Invalid, Reader, keys_of, reader_of
from territory.settings_routing import Destination, Route, Routing, WatchedSite

TABLES: Final[Mapping[str, type[Any]]] = {
    "archive": Archive,
    "dicom": Dicom,
    "dicom.limits": Limits,
    "dicom.timeouts": Timeouts,
    "dicom.storage": Storage,
    "dicom.tls": Tls,
    "http": Http,
    "oncall": Oncall,
    "oncall.email": OncallEmail,
    "oncall.web": OncallWeb,
    "oncall.delivery": OncallDelivery,
    "oncall.images": OncallImages,
    "oncall.time_stamps": OncallTimeStamps,
    "peers": Peer,
    "routing": Routing,
    "destinations": Destination,
    "routes": Route,
    "watched_sites": WatchedSite,
    "hl7": Hl7,
    "hl7.senders": Hl7Sender,
    "hl7.destinations": Hl7Destination,
}
"""The tables of a settings file, and what reads them."""

_EXAMPLE: Final = Path(settings_model.__file__).with_name("telegarde.example.toml")
_TABLE: Final = re.compile(r"^\[+([\w.]+)\]+$")
_KEY: Final = re.compile(r"^#?(\w+) = (.+)$")
_COMMENT: Final = re.compile(r"^# ?(.*)$")


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use.

    Raises
    ------
    ValueError
        If a setting has no comment in the example.
    """
    described = _example()
    named = {f"settings_{name.replace('.', '_')}": _settings(name, described) for name in TABLES}
    defaults = {
        f"default_{name.replace('.', '_')}_{key}": _quantity(key, field.default)
        for name, table_type in TABLES.items()
        for key, field in keys_of(table_type).items()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool) and key != "workers"
    }
    return {
        **named,
        **defaults,
        "variable_database_password": code(settings_model.DATABASE_PASSWORD_VARIABLE),
        "variable_key_password": code(settings_checks.KEY_PASSWORD_VARIABLE),
        "variable_smtp_password": code(settings_checks.SMTP_PASSWORD_VARIABLE),
        "open_loopback_notice": text(settings_messages.OPEN_LOOPBACK_NOTICE),
        "open_loopback_address": code(settings_model.LOOPBACK),
    }


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A key as the example shows it: the TOML of its value, and the comment before it."""

    value: str
    comment: str


def _example() -> dict[tuple[str, str], _Shown]:
    """Read the example as text; of several tables of one name the first counts."""
    shown: dict[tuple[str, str], _Shown] = {}
    current, comment = "", list[str]()
    for line in _EXAMPLE.read_text().splitlines():
        header, key, words = _TABLE.match(line), _KEY.match(line), _COMMENT.match(line)
        if header:
            current, comment = header[1], []
        elif key:
            shown.setdefault((current, key[1]), _Shown(value=key[2], comment=" ".join(comment)))
            comment = []
        elif words:
            comment.append(words[1])
        else:
            comment = []
    return shown


def _settings(name: str, described: Mapping[tuple[str, str], _Shown]) -> str:
    rows = []
    for key, field in keys_of(TABLES[name]).items():
        shown = described.get((name, key))
        if shown is None or not shown.comment:
            raise ValueError(f"{name}.{key} has no comment in {_EXAMPLE.name}")
        rows.append([code(key), text(wanted(reader_of(field))), _default(field, shown), text(shown.comment)])
    return table(["Parameter", "Accepted values", "Default", "Meaning"], rows)


def wanted(reader: Reader[Any]) -> str:
    """Return what a reader takes, in words: the complaint about a value of a wrong type, or about an empty one."""
    complaint = _complaint(reader, object())
    if complaint == settings_messages.LIST_WANTED:
        return f"list of: {_wanted_of_items(reader)}"
    if complaint == settings_messages.TEXT_WANTED:
        complaint = _complaint(reader, "") or "text"
    return _shortened(complaint)


def _wanted_of_items(reader: Reader[Any]) -> str:
    complaint = _complaint(reader, [object()])
    if complaint == settings_messages.TEXT_WANTED:
        complaint = _complaint(reader, [""]) or "text"
    return _shortened(complaint)


def _shortened(complaint: str) -> str:
    return complaint.removeprefix("must be ").removeprefix("one of: ").partition(";")[0]


def _complaint(reader: Reader[Any], nonsense: object) -> str:
    try:
        reader(nonsense)
    except Invalid as error:
        return str(error)
    return ""


def _default(field: dataclasses.Field[Any], shown: _Shown) -> str:
    if field.default is dataclasses.MISSING:
        return "none: must be given"
    if field.default is None:
        return "none"
    value = tomllib.loads(f"value = {shown.value}")["value"]
    # As the file would say it: `workers` is 0 there, and the number of processors once read.
    if _reads_as(reader_of(field), value, field.default):
        return code(shown.value)
    if isinstance(field.default, bool):
        return code(str(field.default).lower())
    if field.default in ("", ()):
        return "empty"
    raise ValueError(f"{field.name}: write its default, or the same default, into {_EXAMPLE.name}")


def _reads_as(reader: Reader[Any], value: object, default: object) -> bool:
    return bool(reader(value) == default)


def _quantity(key: str, value: float) -> str:
    if key.endswith("_s"):
        return seconds(value)
    if "_bytes" in key:
        return size(int(value))
    return code(value) if key == "port" else f"{value:,}"
