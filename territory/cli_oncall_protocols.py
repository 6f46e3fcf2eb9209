"""``telegarde oncall protocols``: which exam protocols there are, what one asks, and taking them in and out.

Invariants: an import is checked as a whole before anything is published; a version that is published is never changed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.language import Language
from oncall.protocol.documents import protocol_to_json, protocols_from_json
from oncall.protocol.library import Key, Offered, find, in_force, publish_protocol
from oncall.protocol.model import Protocol
from oncall.protocol.tables import TABLE_BYTES_MAX, protocols_from_table, protocols_to_table
from oncall.protocol.wording import lines
from oncall.strict_json import DocumentInvalid, parse
from territory.cli_oncall_export import write_whole
from territory.cli_oncall_place import open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run one of the actions."""
    try:
        return _ACTIONS[arguments.protocols_command](arguments, clock)
    except DocumentInvalid as error:
        raise Refused(str(error)) from None


def _list(arguments: argparse.Namespace, clock: Clock) -> int:
    with open_database(arguments) as database, database.read() as connection:
        offered = in_force(connection)
    rows = [_row(one) for key, one in offered.items() if arguments.language in (None, key[1].value)]
    if arguments.json:
        answer(arguments, {"protocols": rows}, title="")
    else:
        columns = ("protocol_id", "language", "version", "title", "modality", "exams", "phases", "published_at")
        print_rows("Exam protocols in force", columns, rows, nothing="No protocol in this language.")
    return 0


def _row(offered: Offered) -> dict[str, Any]:
    protocol, published = offered.protocol, offered.published
    return {
        "protocol_id": protocol.protocol_id,
        "language": protocol.language.value,
        "version": protocol.version,
        "title": protocol.title,
        "modality": protocol.modality,
        "exams": [one.value for one in protocol.exams],
        "phases": len(protocol.phases),
        "published_at": published.published_at.isoformat(timespec="seconds") if published is not None else None,
        "published_by": published.published_by if published is not None else None,
    }


def _show(arguments: argparse.Namespace, clock: Clock) -> int:
    protocol = _chosen(arguments)
    if arguments.json:
        answer(arguments, protocol_to_json(protocol), title="")
        return 0
    print(f"{protocol.title} ({protocol.modality}, {protocol.language.value}, {protocol.version})")
    for line in lines(protocol):
        print(line)
    return 0


def _import(arguments: argparse.Namespace, clock: Clock) -> int:
    protocols = _read(arguments)
    with open_database(arguments, may_create=not arguments.dry_run) as database:
        if not arguments.dry_run:
            with database.write(durable=True) as connection:
                for protocol in protocols:
                    publish_protocol(connection, protocol, by=arguments.by, now=clock.now())
    result: dict[str, Any] = {
        "imported": [
            {"protocol_id": one.protocol_id, "language": one.language.value, "version": one.version, "title": one.title}
            for one in protocols
        ],
        "published": not arguments.dry_run,
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 0
    title = "They can be imported; nothing was changed" if arguments.dry_run else "Imported"
    print_rows(title, ("protocol_id", "language", "version", "title"), result["imported"])
    return 0


def _read(arguments: argparse.Namespace) -> tuple[Protocol, ...]:
    path: Path = arguments.file
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(TABLE_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                content = file.read(TABLE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}; give a file that this user may read") from error
    if len(content) > TABLE_BYTES_MAX:
        raise Refused(f"{path} has more than {TABLE_BYTES_MAX} bytes; no library has")
    if _format(arguments, path) == "json":
        return protocols_from_json(parse(content))
    try:
        return protocols_from_table(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(f"{path} is not in UTF-8; save it as CSV UTF-8") from None


def _export(arguments: argparse.Namespace, clock: Clock) -> int:
    chosen = _format(arguments, arguments.output) if arguments.output or arguments.format else "json"
    if arguments.protocol is None:
        if chosen == "json":
            raise Refused("a JSON document holds one protocol: name it, or give --format csv for all of them")
        protocols = _all(arguments)
    else:
        protocols = [_chosen(arguments)]
    if chosen == "csv":
        text = protocols_to_table(protocols)
    else:
        text = json.dumps(protocol_to_json(protocols[0]), ensure_ascii=False, indent=1) + "\n"
    result = {"protocols": [one.protocol_id for one in protocols], "format": chosen}
    if arguments.output is not None:
        try:
            write_whole(arguments.output, text.encode())
        except OSError as error:
            raise Refused(f"cannot write {arguments.output}: {error.strerror}; choose another --output") from error
        answer(arguments, {**result, "output": str(arguments.output)}, title=f"Written: {arguments.output}")
    elif arguments.json:
        answer(arguments, {**result, "text": text}, title="")
    else:
        print(text, end="")
    return 0


def _all(arguments: argparse.Namespace) -> list[Protocol]:
    with open_database(arguments) as database, database.read() as connection:
        offered = in_force(connection)
    return [one.protocol for key, one in offered.items() if arguments.language in (None, key[1].value)]


def _format(arguments: argparse.Namespace, path: Path) -> str:
    if arguments.format is not None:
        return str(arguments.format)
    found = {".json": "json", ".csv": "csv"}.get(path.suffix.lower())
    if found is None:
        raise Refused(f"what is {path}? say it with --format json|csv")
    return found


def _chosen(arguments: argparse.Namespace) -> Protocol:
    """Return the protocol that a command line means: of the version asked for, else the one in force."""
    with open_database(arguments) as database, database.read() as connection:
        offered = in_force(connection)
        key = _key(arguments, [*offered])
        if arguments.protocol_version is None:
            return offered[key].protocol
        found = find(connection, *key, arguments.protocol_version)
    if found is None:
        raise Refused(f"protocol {key[0]} has never had a version {arguments.protocol_version} here")
    return found


def _key(arguments: argparse.Namespace, keys: Sequence[Key]) -> Key:
    found = [key for key in keys if key[0] == arguments.protocol and arguments.language in (None, key[1].value)]
    if not found:
        names = ", ".join(sorted({key[0] for key in keys}))
        raise Refused(f"no protocol {arguments.protocol} in that language; there are {names}")
    # French comes first where both are there: the territory's language.
    return max(found, key=lambda one: one[1] is Language.FRENCH)


_ACTIONS: Final[MappingProxyType[str, Callable[[argparse.Namespace, Clock], int]]] = MappingProxyType(
    {"list": _list, "show": _show, "import": _import, "export": _export}
)
