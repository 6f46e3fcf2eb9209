"""Which exam protocols there are: those that come with the program, and those that were published here.

For: `in_force`, what a radiologist chooses from now; `find`, the version that an old case was examined with;
`publish_protocol`; `suited`, the best first for a case. Not for: documents (`oncall.protocol.documents`).

Invariants: a published version never changes and is never deleted; a name and version that come with the program
cannot be published with another text; of one name and language the newest published version is in force, and what was
published here goes before what came with the program.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Final

from sqlalchemy import Connection

from foundation.errors import Refused
from oncall import documents_store
from oncall.documents_store import DocumentKind, Published
from oncall.language import Language
from oncall.protocol.documents import protocol_to_json, protocols_from_json
from oncall.protocol.model import Protocol
from oncall.reading.board import ExamKind
from oncall.strict_json import canonical, parse

# A department has a hundred protocols and mends each a few times a year; more are not looked at, newest first.
_PUBLISHED_MAX: Final = 10_000

Key = tuple[str, Language]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A protocol in force; ``published`` is None for one that came with the program."""

    protocol: Protocol
    published: Published | None = None


def packaged() -> tuple[Protocol, ...]:
    """Return the protocols that come with the program, by name and language."""
    folder = files("oncall.protocol").joinpath("library")
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".json"))
    return _packaged(tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names))


@lru_cache(maxsize=1)
def _packaged(texts: tuple[str, ...]) -> tuple[Protocol, ...]:
    return tuple(protocol for text in texts for protocol in protocols_from_json(parse(text)))


def in_force(connection: Connection) -> Mapping[Key, Offered]:
    """Return the protocols in force, by name and language.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a row is damaged.
    """
    found = {_key(one): Offered(protocol=one) for one in packaged()}
    seen: set[Key] = set()
    for row in documents_store.versions(connection, DocumentKind.PROTOCOL, versions_max=_PUBLISHED_MAX):
        protocol_id, language, _ = row.version.split(":")
        key = (protocol_id, Language(language))
        if key not in seen:
            seen.add(key)
            found[key] = Offered(protocol=_read(row), published=row)
    return dict(sorted(found.items()))


def find(connection: Connection, protocol_id: str, language: Language, version: str) -> Protocol | None:
    """Return one version of a protocol, in force or not; None when it was never here."""
    row = documents_store.find(connection, DocumentKind.PROTOCOL, _name(protocol_id, language, version))
    if row is not None:
        return _read(row)
    return next((one for one in packaged() if (*_key(one), one.version) == (protocol_id, language, version)), None)


def publish_protocol(connection: Connection, protocol: Protocol, *, by: str, now: datetime) -> Published:
    """Put a protocol in force; the same text under the same version again changes nothing.

    Parameters
    ----------
    connection : Connection
        Inside a durable write transaction of `foundation.database.Database`.
    by : str
        Who publishes: an identifier, no name.

    Raises
    ------
    Refused
        If the version exists with another text, here or as it came with the program.
    """
    document = protocol_to_json(protocol)
    same = next((one for one in packaged() if (_key(one), one.version) == (_key(protocol), protocol.version)), None)
    if same is not None and canonical(protocol_to_json(same)) != canonical(document):
        raise Refused(
            f"protocol {protocol.protocol_id} {protocol.version} came with the program and never changes; publish "
            "under another version"
        )
    name = _name(*_key(protocol), protocol.version)
    return documents_store.publish(connection, DocumentKind.PROTOCOL, name, document, by=by, now=now)


def suited(
    protocols: Iterable[Protocol], *, exam: ExamKind | None, modality: str, language: Language
) -> tuple[Protocol, ...]:
    """Return protocols for a case, the best first: those of its exam and modality, then of one of them, then the rest.

    Protocols that there are in another language only come in that one: none is hidden by the language of a browser.
    """
    by_name: dict[str, Protocol] = {}
    for one in protocols:
        if one.protocol_id not in by_name or one.language is language:
            by_name[one.protocol_id] = one
    known = sorted(by_name.values(), key=lambda one: (one.title, one.protocol_id))
    return tuple(sorted(known, key=lambda one: _fit(one, exam, modality), reverse=True))


def _fit(protocol: Protocol, exam: ExamKind | None, modality: str) -> int:
    by_exam = 0 if exam is None or not protocol.exams else 2 if exam in protocol.exams else -2
    return by_exam + (0 if not modality else 3 if modality == protocol.modality else -3)


def _key(protocol: Protocol) -> Key:
    return (protocol.protocol_id, protocol.language)


def _name(protocol_id: str, language: Language, version: str) -> str:
    return f"{protocol_id}:{language.value}:{version}"


def _read(row: Published) -> Protocol:
    (protocol,) = protocols_from_json(parse(row.body))
    return protocol
