"""What people edit, kept by version: the newest published one is in force, older ones explain old decisions.

For: directory, roster, report template and exam protocol documents in ``oncall_document``. Not for: their meaning; a
body is a canonical JSON text.

Invariants: a version is written once and never changed or deleted; of one kind, publication times only grow, so
"in force at T" has one answer; publishing the same text under the same version again changes nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from foundation.errors import Refused, Unavailable
from foundation.instants import instant_of_us, microseconds
from oncall.directory import Directory
from oncall.directory_documents import directory_from_json, directory_to_json
from oncall.schema import oncall_document
from oncall.strict_json import canonical, parse

_VERSION_CHARACTERS_MAX: Final = 64
_MICROSECOND: Final = timedelta(microseconds=1)


class DocumentKind(StrEnum):
    """What a document is about."""

    DIRECTORY = "directory"
    ROSTER = "roster"
    TEMPLATE = "template"
    PROTOCOL = "protocol"


class NothingPublished(Unavailable):
    """No document of this kind has been published: an empty one would be a false answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One version of a document; ``published_at`` is UTC."""

    kind: DocumentKind
    version: str
    published_at: datetime
    published_by: str
    body: str


def version_name(document: Mapping[str, Any], now: datetime) -> str:
    """Return a name for a version: when it was made, and eight characters of the digest of what it says."""
    digest = hashlib.sha256(canonical(document).encode()).hexdigest()
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:8]}"


def publish(
    connection: Connection,
    kind: DocumentKind,
    version: str,
    document: Mapping[str, Any],
    *,
    by: str,
    now: datetime,
) -> Published:
    """Put a version in force; the same text under the same name again changes nothing.

    Parameters
    ----------
    connection : Connection
        Inside a write transaction of `foundation.database.Database`, durable.
    by : str
        Who publishes: an identifier, no name.

    Raises
    ------
    Refused
        If the version exists with another text, or its name is too long.
    """
    body = canonical(document)
    if not 0 < len(version) <= _VERSION_CHARACTERS_MAX:
        raise Refused(f"a version's name has 1 to {_VERSION_CHARACTERS_MAX} characters")
    known = find(connection, kind, version)
    if known is not None:
        if known.body != body:
            raise Refused(
                f"{kind} version {version} is published already and never changes; publish under another name"
            )
        return known
    newest = latest(connection, kind)
    published_at = now.astimezone(UTC)
    if newest is not None and published_at <= newest.published_at:
        # A clock that was set back must not put an older version in force again.
        published_at = newest.published_at + _MICROSECOND
    connection.execute(
        insert(oncall_document).values(
            kind=kind.value,
            version=version,
            published_at_us=microseconds(published_at),
            published_by=by,
            body=body,
        )
    )
    return Published(kind=kind, version=version, published_at=published_at, published_by=by, body=body)


def find(connection: Connection, kind: DocumentKind, version: str) -> Published | None:
    """Return one version, or None."""
    row = connection.execute(
        select(oncall_document).where(oncall_document.c.kind == kind.value, oncall_document.c.version == version)
    ).one_or_none()
    return None if row is None else _published(row)


def latest(connection: Connection, kind: DocumentKind, *, at: datetime | None = None) -> Published | None:
    """Return the version in force now, or at an instant; None before the first publication."""
    wanted = select(oncall_document).where(oncall_document.c.kind == kind.value)
    if at is not None:
        wanted = wanted.where(oncall_document.c.published_at_us <= microseconds(at))
    row = connection.execute(wanted.order_by(oncall_document.c.published_at_us.desc()).limit(1)).one_or_none()
    return None if row is None else _published(row)


def versions(connection: Connection, kind: DocumentKind, *, versions_max: int) -> list[Published]:
    """Return the newest versions, newest first, at most `versions_max`."""
    rows = connection.execute(
        select(oncall_document)
        .where(oncall_document.c.kind == kind.value)
        .order_by(oncall_document.c.published_at_us.desc())
        .limit(versions_max)
    )
    return [_published(row) for row in rows]


def in_force(connection: Connection, kind: DocumentKind) -> Published:
    """Return the version in force.

    Raises
    ------
    NothingPublished
        If there is none.
    """
    found = latest(connection, kind)
    if found is None:
        raise NothingPublished(
            f"no {kind} has been published here; telegarde oncall import does it, telegarde demo makes one to look at",
            is_retryable=False,
        )
    return found


def publish_directory(connection: Connection, directory: Directory, *, by: str, now: datetime) -> Published:
    """Put a directory in force; one that says the same as that in force is not published again."""
    document = directory_to_json(directory)
    newest = latest(connection, DocumentKind.DIRECTORY)
    if newest is not None and newest.body == canonical(document):
        return newest
    return publish(connection, DocumentKind.DIRECTORY, version_name(document, now), document, by=by, now=now)


def load_directory(connection: Connection) -> Directory:
    """Return the directory in force.

    Raises
    ------
    NothingPublished
        If there is none.
    oncall.strict_json.DocumentInvalid
        If the row is damaged.
    """
    return directory_from_json(parse(in_force(connection, DocumentKind.DIRECTORY).body))


def _published(row: Any) -> Published:
    return Published(
        kind=DocumentKind(row.kind),
        version=row.version,
        published_at=instant_of_us(row.published_at_us),
        published_by=row.published_by,
        body=row.body,
    )
