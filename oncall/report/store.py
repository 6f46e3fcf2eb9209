"""Signed versions and public keys as rows: written once, never changed, and verified whenever they are read.

For: `oncall_report_version`, whose body is the very text that was signed, and `oncall_signing_key`. Not for: whether a
version may follow (`oncall.report.states`), or the transaction that writes it (`oncall.engine.sql_store`).

Invariants: a version's row is never updated but for a time stamp that was missing, and never deleted; a text that no
longer has its digest is an error, never a report. A public key stays known for ever; a revoked one signs nothing more.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, select, update
from sqlalchemy import insert as insert_row

from foundation.errors import Refused, Unavailable
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds
from oncall.case.event import CaseId
from oncall.report import canonical
from oncall.report.signing import holder_of
from oncall.report.version import Signature, SignedVersion
from oncall.schema import oncall_report_version, oncall_signing_key
from oncall.strict_json import DocumentInvalid, parse

# Time stamps that one round fetches; each is a call of a service that may be slow.
_UNSTAMPED_MAX: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownKey:
    """A public key that has signed here; ``revoked_at`` is UTC and None while it may sign."""

    key_id: str
    holder: str
    algorithm: str
    public_key: bytes
    first_seen_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unstamped:
    """A version that has no time stamp yet."""

    case_id: CaseId
    version: int
    signature: Signature


class VersionDamaged(Unavailable):
    """A stored version does not have its digest any more; restore it from a backup, and look who wrote to the table."""


def insert(connection: Connection, signed: SignedVersion) -> None:
    """Write a version and, when it is new, its key, into the caller's transaction.

    Raises
    ------
    foundation.errors.Refused
        If the key is revoked, or known with another public key.
    """
    version, signature = signed.version, signed.signature
    keep_key(connection, signature, version.signed_at)
    connection.execute(
        insert_row(oncall_report_version).values(
            case_id=version.case_id,
            version=version.version,
            kind=version.kind.value,
            signed_at_us=microseconds(version.signed_at),
            signed_by=version.author.person_id,
            digest=signed.digest,
            body=canonical.version_bytes(version).decode(),
            algorithm=signature.algorithm,
            key_id=signature.key_id,
            public_key=signature.public_key,
            signature=signature.value,
            time_stamp=signed.time_stamp,
        )
    )


def versions_of(connection: Connection, case_id: CaseId) -> tuple[SignedVersion, ...]:
    """Return every version of a case's report, the first one first.

    Raises
    ------
    VersionDamaged
        If one of them is not what was signed.
    """
    table = oncall_report_version
    rows = connection.execute(select(table).where(table.c.case_id == case_id).order_by(table.c.version))
    return tuple(_signed(row) for row in rows.mappings())


def find(connection: Connection, case_id: CaseId, version: int) -> SignedVersion | None:
    """Return one version; None when there is none of this number.

    Raises
    ------
    VersionDamaged
        If it is not what was signed.
    """
    table = oncall_report_version
    row = connection.execute(select(table).where(table.c.case_id == case_id, table.c.version == version))
    found = row.mappings().one_or_none()
    return None if found is None else _signed(found)


def unstamped(connection: Connection) -> tuple[Unstamped, ...]:
    """Return versions that have no time stamp, the oldest first, at most a round's worth; their texts are not read."""
    table = oncall_report_version
    wanted = select(table).where(table.c.time_stamp.is_(None)).order_by(table.c.signed_at_us).limit(_UNSTAMPED_MAX)
    return tuple(
        Unstamped(case_id=CaseId(row["case_id"]), version=row["version"], signature=_signature(row))
        for row in connection.execute(wanted).mappings()
    )


def add_time_stamp(connection: Connection, case_id: CaseId, version: int, answer: bytes) -> bool:
    """Keep the RFC 3161 answer of a version that had none; return False if another worker was faster."""
    table = oncall_report_version
    done = connection.execute(
        update(table)
        .where(table.c.case_id == case_id, table.c.version == version, table.c.time_stamp.is_(None))
        .values(time_stamp=answer)
    )
    return done.rowcount == 1


def keep_key(connection: Connection, signature: Signature, now: datetime) -> None:
    """Make a public key known when it signs for the first time.

    Raises
    ------
    foundation.errors.Refused
        If it is revoked, or the name is known with another public key.
    """
    known = key_of(connection, signature.key_id)
    if known is not None:
        check_key(known, signature)
        return
    connection.execute(
        insert_row(oncall_signing_key).values(
            key_id=signature.key_id,
            holder=holder_of(signature),
            algorithm=signature.algorithm,
            public_key=signature.public_key,
            first_seen_at_us=microseconds(now),
        )
    )


def check_key(known: KnownKey, signature: Signature) -> None:
    """Refuse a signature by a key that is revoked or not the one that is known by this name."""
    if known.revoked_at is not None:
        message = f"signing key {known.key_id} is revoked; make a new one (telegarde oncall keys rotate) and sign again"
        raise Refused(message)
    if known.public_key != signature.public_key:
        message = f"signing key {known.key_id} is known with another public key; have the node's keys examined"
        raise Refused(message)


def key_of(connection: Connection, key_id: str) -> KnownKey | None:
    """Return a key by its name; None when it never signed here."""
    row = connection.execute(select(oncall_signing_key).where(oncall_signing_key.c.key_id == key_id))
    found = row.mappings().one_or_none()
    return None if found is None else _known(found)


def known_keys(connection: Connection) -> tuple[KnownKey, ...]:
    """Return every key that ever signed here, by holder, the oldest first."""
    table = oncall_signing_key
    rows = connection.execute(select(table).order_by(table.c.holder, table.c.first_seen_at_us, table.c.key_id))
    return tuple(_known(row) for row in rows.mappings())


def revoke_key(connection: Connection, key_id: str, *, by: str, reason: str, now: datetime) -> KnownKey:
    """Say that a key signs nothing from now on; what it signed before stays verifiable.

    Raises
    ------
    foundation.errors.Refused
        If there is no such key; a second revocation changes nothing.
    """
    table = oncall_signing_key
    connection.execute(
        update(table)
        .where(table.c.key_id == key_id, table.c.revoked_at_us.is_(None))
        .values(revoked_at_us=microseconds(now), revoked_by=by, reason=reason)
    )
    known = key_of(connection, key_id)
    if known is None:
        raise Refused("there is no such signing key; list them with telegarde oncall keys list")
    return known


def _signed(row: RowMapping) -> SignedVersion:
    place = f"version {row['version']} of case {row['case_id']}"
    try:
        version = canonical.from_json(parse(row["body"]))
    except DocumentInvalid as error:
        message = f"{place} cannot be read any more; restore it from a backup"
        raise VersionDamaged(message, is_retryable=False) from error
    is_whole = canonical.digest_of(version) == row["digest"]
    is_here = (version.case_id, version.version) == (row["case_id"], row["version"])
    if not (is_whole and is_here):
        message = f"{place} is not what was signed; restore it from a backup, and look who wrote to the table"
        raise VersionDamaged(message, is_retryable=False)
    stamp: Any = row["time_stamp"]
    return SignedVersion(
        version=version,
        digest=row["digest"],
        signature=_signature(row),
        time_stamp=None if stamp is None else bytes(stamp),
    )


def _signature(row: RowMapping) -> Signature:
    return Signature(
        algorithm=row["algorithm"],
        key_id=row["key_id"],
        public_key=bytes(row["public_key"]),
        value=bytes(row["signature"]),
    )


def _known(row: RowMapping) -> KnownKey:
    return KnownKey(
        key_id=row["key_id"],
        holder=row["holder"],
        algorithm=row["algorithm"],
        public_key=bytes(row["public_key"]),
        first_seen_at=instant_of_us(row["first_seen_at_us"]),
        revoked_at=instant_of_us_or_none(row["revoked_at_us"]),
        revoked_by=row["revoked_by"] or "",
        reason=row["reason"] or "",
    )
