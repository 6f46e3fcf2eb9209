"""Signed versions and keys as rows: what was written is read, what was changed is noticed, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from foundation.database import Database
from foundation.errors import Refused
from oncall.case.event import CaseId
from oncall.report import canonical, store
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SignedVersion, VersionKind
from oncall.schema import oncall_report_version
from tests.harness import reports

CASE = CaseId("case-1")


def insert(database: Database, *signed: SignedVersion) -> None:
    with database.write(durable=True) as connection:
        for one in signed:
            store.insert(connection, one)


def test_versions_are_read_in_order_as_they_were_signed(database: Database, tmp_path: Path) -> None:
    first = reports.signed(tmp_path)
    second = reports.signed(
        tmp_path, version=2, kind=VersionKind.ADDENDUM, previous_digest=first.digest, reason="biologie reçue"
    )
    other = reports.signed(tmp_path, case_id=CaseId("case-2"))
    insert(database, first, other, second)

    with database.read() as connection:
        assert store.versions_of(connection, CASE) == (first, second)
        assert store.find(connection, CASE, 2) == second
        assert store.find(connection, CASE, 3) is None


def test_a_number_is_taken_once(database: Database, tmp_path: Path) -> None:
    insert(database, reports.signed(tmp_path))

    with pytest.raises(IntegrityError):
        insert(database, reports.signed(tmp_path, reason="another of the same number"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda body: body.replace("gauche", "droite"), id="another word"),
        pytest.param(lambda body: body.replace('"version":1', '"version":2'), id="another number"),
        pytest.param(lambda body: body[:-1], id="cut"),
    ],
)
def test_a_text_that_was_changed_is_an_error_and_no_report(
    database: Database, tmp_path: Path, change: Callable[[str], str]
) -> None:
    signed = reports.signed(tmp_path)
    insert(database, signed)
    with database.write() as connection:
        body = canonical.version_bytes(signed.version).decode()
        connection.execute(update(oncall_report_version).values(body=change(body)))

    with database.read() as connection, pytest.raises(store.VersionDamaged, match="version 1 of case case-1"):
        store.versions_of(connection, CASE)


def test_a_time_stamp_is_added_once(database: Database, tmp_path: Path) -> None:
    signed = reports.signed(tmp_path)
    insert(database, signed)

    with database.write(durable=True) as connection:
        assert [(one.case_id, one.version, one.signature) for one in store.unstamped(connection)] == [
            (CASE, 1, signed.signature)
        ]
        assert store.add_time_stamp(connection, CASE, 1, b"first")
        assert not store.add_time_stamp(connection, CASE, 1, b"second")
        assert store.unstamped(connection) == ()
        assert store.find(connection, CASE, 1) == replace(signed, time_stamp=b"first")


def test_a_revoked_key_signs_nothing_more_and_what_it_signed_stays(database: Database, tmp_path: Path) -> None:
    signed = reports.signed(tmp_path)
    insert(database, signed)
    later = reports.SIGNED_AT + timedelta(days=1)
    with database.write(durable=True) as connection:
        revoked = store.revoke_key(connection, signed.signature.key_id, by="admin", reason="lost laptop", now=later)
    assert (revoked.revoked_at, revoked.revoked_by, revoked.reason) == (later, "admin", "lost laptop")

    with pytest.raises(Refused, match="is revoked"):
        insert(database, reports.signed(tmp_path, version=2))
    Ed25519Keys(tmp_path).rotate(reports.AUTHOR.person_id)
    renewed = reports.signed(tmp_path, version=2)
    insert(database, renewed)

    with database.read() as connection:
        assert store.versions_of(connection, CASE) == (signed, renewed)
        keys = store.known_keys(connection)
    assert {key.key_id: key.revoked_at for key in keys} == {
        signed.signature.key_id: later,
        renewed.signature.key_id: None,
    }


def test_a_second_revocation_changes_nothing(database: Database, tmp_path: Path) -> None:
    signed = reports.signed(tmp_path)
    insert(database, signed)
    with database.write(durable=True) as connection:
        first = store.revoke_key(connection, signed.signature.key_id, by="a", reason="one", now=reports.SIGNED_AT)
        again = store.revoke_key(
            connection, signed.signature.key_id, by="b", reason="two", now=reports.SIGNED_AT + timedelta(hours=1)
        )
        assert again == first
        with pytest.raises(Refused, match="no such signing key"):
            store.revoke_key(connection, "nobody#00", by="a", reason="x", now=reports.SIGNED_AT)


def test_one_name_has_one_public_key(database: Database, tmp_path: Path) -> None:
    signed = reports.signed(tmp_path)
    insert(database, signed)

    forged = replace(signed.signature, public_key=b"\x01" * 32)
    with database.write(durable=True) as connection, pytest.raises(Refused, match="another public key"):
        store.keep_key(connection, forged, reports.SIGNED_AT)
