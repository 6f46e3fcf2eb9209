"""The settings of a node: one TOML file, read once at start.

For: `load`, `open_loopback` and `describe`; the dataclasses are in `territory.settings_model` and re-exported here.
Not for: acting on settings; `territory.settings_rules` turns them into the rules that `pacs` takes.

Invariants: what is not configured is refused; unknown keys are refused; every problem is reported together, each with
its key and what to do; secrets come from a file or the environment, never from the settings file, and are masked
wherever settings are printed.
"""

import dataclasses
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy.engine import make_url

from territory import settings_checks, settings_reader
from territory import settings_messages as messages
from territory.settings_hl7 import Hl7, Hl7Destination, Hl7Sender
from territory.settings_model import (
    LOOPBACK,
    Archive,
    Dicom,
    Duplicates,
    Http,
    Limits,
    Oncall,
    OncallDelivery,
    OncallEmail,
    OncallImages,
    OncallMode,
    OncallTimeStamps,
    OncallWeb,
    Peer,
    Right,
    Secret,
    Settings,
    Storage,
    Timeouts,
    Tls,
)
from territory.settings_reader import InvalidSettings, Problem
from territory.settings_routing import Destination, Route, Routing, WatchedSite

__all__ = [
    "Archive",
    "Destination",
    "Dicom",
    "Duplicates",
    "Hl7",
    "Hl7Destination",
    "Hl7Sender",
    "Http",
    "InvalidSettings",
    "Limits",
    "Oncall",
    "OncallDelivery",
    "OncallEmail",
    "OncallImages",
    "OncallMode",
    "OncallWeb",
    "Peer",
    "Problem",
    "Right",
    "Route",
    "Routing",
    "Secret",
    "Settings",
    "Storage",
    "Timeouts",
    "Tls",
    "WatchedSite",
    "describe",
    "load",
    "open_loopback",
    "parse",
]

_T = TypeVar("_T")
_ROUTING_ENTRIES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {"destinations": Destination, "routes": Route, "watched_sites": WatchedSite}
)
_ROUTING_TABLES: Final = ("routing", *_ROUTING_ENTRIES)


def load(path: Path, *, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a settings file.

    Raises
    ------
    InvalidSettings
        With every problem found; the first start after an edit shows all of them.
    """
    source = str(path)
    try:
        toml = path.read_bytes()
    except FileNotFoundError:
        raise InvalidSettings(source, [Problem(key=source, message=messages.FILE_MISSING)]) from None
    except OSError as error:
        problem = Problem(key=source, message=messages.FILE_UNREADABLE.format(reason=error.strerror))
        raise InvalidSettings(source, [problem]) from error
    return parse(toml, source=source, environment=environment)


def parse(toml: bytes, *, source: str, environment: Mapping[str, str]) -> Settings:
    """Parse the text of a settings file (UTF-8); `source` names it in messages.

    Raises
    ------
    InvalidSettings
        With every problem found.
    """
    try:
        root = tomllib.loads(toml.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(
            source, [Problem(key=source, message=messages.FILE_NOT_TOML.format(reason=error))]
        ) from None
    problems: list[Problem] = []
    settings = _read_root(root, problems)
    if settings is not None:
        problems += settings_checks.check(settings)
        settings = settings_checks.with_secrets(settings, environment, problems)
    if settings is None or problems:
        raise InvalidSettings(source, problems)
    return settings


def _read_root(root: dict[str, Any], problems: list[Problem]) -> Settings | None:
    read = settings_reader.read_table
    settings_reader.refuse_unknown(
        root, known=["archive", "dicom", "hl7", "http", "oncall", "peers", *_ROUTING_TABLES], key="", problems=problems
    )
    archive = read(Archive, root.get("archive", {}), key="archive", problems=problems)
    dicom = _read_dicom(root.get("dicom", {}), problems)
    http = read(Http, root.get("http", {}), key="http", problems=problems)
    oncall = _read_oncall(root.get("oncall", {}), problems)
    peers = _read_peers(root.get("peers", []), problems)
    routing = _read_routing(root, problems)
    hl7 = _read_hl7(root["hl7"], problems) if "hl7" in root else None
    if archive is None or dicom is None or http is None or oncall is None or peers is None or routing is None:
        return None
    return Settings(archive=archive, dicom=dicom, http=http, oncall=oncall, peers=peers, hl7=hl7, **routing)


def _read_dicom(table: Any, problems: list[Problem]) -> Dicom | None:
    if not isinstance(table, dict):
        problems.append(Problem(key="dicom", message=messages.TABLE_WANTED))
        return None
    read = settings_reader.read_table
    nested: dict[str, object] = {
        "limits": read(Limits, table.get("limits", {}), key="dicom.limits", problems=problems),
        "timeouts": read(Timeouts, table.get("timeouts", {}), key="dicom.timeouts", problems=problems),
        "storage": read(Storage, table.get("storage", {}), key="dicom.storage", problems=problems),
        "tls": read(Tls, table["tls"], key="dicom.tls", problems=problems) if "tls" in table else None,
    }
    return read(Dicom, table, key="dicom", problems=problems, tables=nested)


def _read_oncall(table: Any, problems: list[Problem]) -> Oncall | None:
    if not isinstance(table, dict):
        problems.append(Problem(key="oncall", message=messages.TABLE_WANTED))
        return None
    read = settings_reader.read_table
    email = read(OncallEmail, table["email"], key="oncall.email", problems=problems) if "email" in table else None
    web = read(OncallWeb, table["web"], key="oncall.web", problems=problems) if "web" in table else None
    delivery = read(OncallDelivery, table.get("delivery", {}), key="oncall.delivery", problems=problems)
    stamps = (
        read(OncallTimeStamps, table["time_stamps"], key="oncall.time_stamps", problems=problems)
        if "time_stamps" in table
        else None
    )
    tables: dict[str, object] = {"email": email, "web": web, "delivery": delivery, "time_stamps": stamps}
    tables["images"] = read(OncallImages, table.get("images", {}), key="oncall.images", problems=problems)
    return read(Oncall, table, key="oncall", problems=problems, tables=tables)


def _read_hl7(table: Any, problems: list[Problem]) -> Hl7 | None:
    if not isinstance(table, dict):
        problems.append(Problem(key="hl7", message=messages.TABLE_WANTED))
        return None
    senders = _read_entries(Hl7Sender, table.get("senders", []), "hl7.senders", problems)
    destinations = _read_entries(Hl7Destination, table.get("destinations", []), "hl7.destinations", problems)
    tables: dict[str, object] = {"senders": senders or (), "destinations": destinations or ()}
    return settings_reader.read_table(Hl7, table, key="hl7", problems=problems, tables=tables)


def _read_routing(root: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any] | None:
    routing: dict[str, Any] = {
        "routing": settings_reader.read_table(Routing, root.get("routing", {}), key="routing", problems=problems)
    }
    for key, table_type in _ROUTING_ENTRIES.items():
        routing[key] = _read_entries(table_type, root.get(key, []), key, problems)
    return None if None in routing.values() else routing


def _read_peers(entries: Any, problems: list[Problem]) -> tuple[Peer, ...] | None:
    return _read_entries(Peer, entries, "peers", problems)


def _read_entries(table_type: type[_T], entries: Any, key: str, problems: list[Problem]) -> tuple[_T, ...] | None:
    if not isinstance(entries, list):
        problems.append(Problem(key=key, message=messages.TABLES_WANTED.format(key=key)))
        return None
    read = [
        settings_reader.read_table(table_type, entry, key=f"{key}[{position}]", problems=problems)
        for position, entry in enumerate(entries, start=1)
    ]
    whole = [entry for entry in read if entry is not None]
    return tuple(whole) if len(whole) == len(read) else None


def open_loopback(
    *,
    data: Path,
    aet: str,
    dicom_port: int,
    http_port: int,
    workers: int | None = None,
    peers: Sequence[str] = (),
    oncall_port: int | None = None,
    hl7_port: int | None = None,
) -> Settings:
    """Return the demonstration configuration: open to any calling AE, on 127.0.0.1 only.

    Parameters
    ----------
    workers : int, optional
        Worker processes; None for one per processor.
    peers : sequence of str
        ``AET=HOST:PORT`` of each move destination.
    oncall_port : int, optional
        Of the on-call pages and interface; none without it.
    hl7_port : int, optional
        Of HL7 messages, of whatever application names a site of the directory as its facility; none without it.

    Raises
    ------
    InvalidSettings
        If an argument cannot be used.
    """
    problems: list[Problem] = []
    dicom: dict[str, Any] = {
        "aet": [aet], "host": LOOPBACK, "port": dicom_port, "workers": 0 if workers is None else workers,
        "storage": {"private_sop_classes": ["*"]},
    }  # fmt: skip
    root: dict[str, Any] = {
        "archive": {"data_dir": str(data.absolute())},
        "dicom": dicom,
        "http": {"host": LOOPBACK, "port": http_port},
        "oncall": {} if oncall_port is None else {"web": {"host": LOOPBACK, "port": oncall_port}},
        "peers": [entry for peer in peers if (entry := _peer_argument(peer, problems)) is not None],
    }
    if hl7_port is not None:
        root["hl7"] = {"host": LOOPBACK, "port": hl7_port}
    settings = _read_root(root, problems)
    if settings is not None:
        problems += settings_checks.check(settings)
    if settings is None or problems:
        raise InvalidSettings("command line", problems)
    return dataclasses.replace(settings, is_open_loopback=True)


def _peer_argument(argument: str, problems: list[Problem]) -> dict[str, Any] | None:
    aet, equals, address = argument.partition("=")
    host, colon, port_text = address.rpartition(":")
    if not (equals and colon and port_text.isascii() and port_text.isdigit()):
        problems.append(Problem(key="--peer", message=messages.PEER_ARGUMENT.format(text=argument)))
        return None
    return {"aet": aet, "host": host.strip("[]"), "port": int(port_text)}


def describe(settings: Settings) -> dict[str, Any]:
    """Return the effective settings as plain values (for JSON), secrets masked."""
    described: dict[str, Any] = settings_checks.plain(settings)
    described["database_url"] = make_url(settings.database_url).render_as_string(hide_password=True)
    if settings.is_open_loopback:
        described["notice"] = messages.OPEN_LOOPBACK_NOTICE
    return described
