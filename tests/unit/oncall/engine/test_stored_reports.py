"""Signed reports in a database: rows of version, key, delivery and draft move together, on SQLite and PostgreSQL."""

from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Refused
from oncall.delivery import queue
from oncall.engine.sql_store import SqlStore
from oncall.report import store as report_store
from oncall.report.drafts import Drafts
from oncall.report.signing import verify
from oncall.report.version import VersionKind
from tests.harness import reports
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at, engine


def test_a_draft_ends_with_the_signature_and_deliveries_begin_with_it(database: Database, tmp_path: Path) -> None:
    night = ReportNight(SqlStore(database), tmp_path / "keys")
    kept = Drafts(database)
    kept.open(CASE, night.reader, at(6), reports.content())

    night.sign()

    with database.read() as connection:
        deliveries = queue.deliveries_of(connection, CASE)
        keys = report_store.known_keys(connection)
    assert kept.find(CASE) is None
    assert {one.delivery.version for one in deliveries} == {1}
    assert [key.holder for key in keys] == [night.reader]


def test_a_revoked_key_stops_the_whole_commit_until_it_is_changed(database: Database, tmp_path: Path) -> None:
    night = ReportNight(SqlStore(database), tmp_path / "keys")
    first = night.sign(VersionKind.PRELIMINARY)
    with database.write(durable=True) as connection:
        report_store.revoke_key(connection, first.signature.key_id, by="admin", reason="lost", now=at(11))

    with pytest.raises(Refused, match="is revoked"):
        night.sign(minutes=12)
    assert engine(night.store).case(CASE).report.version == 1
    night.keys.rotate(night.reader)
    second = night.sign(minutes=13)

    assert verify(first.signature, first.digest)
    assert second.signature.key_id != first.signature.key_id
    assert night.store.versions_of(CASE) == (first, second)


def test_a_decision_on_an_older_history_is_made_again(database: Database, tmp_path: Path) -> None:
    night = ReportNight(SqlStore(database), tmp_path / "keys")
    other = engine(night.store, worker="two")
    other.case(CASE)
    first = night.sign(VersionKind.PRELIMINARY)

    second = night.sign(minutes=11, runner=other)

    assert (first.version.version, second.version.version) == (1, 2)
    assert second.version.previous_digest == first.digest


def test_a_report_of_sixty_thousand_characters_is_kept_to_the_letter(database: Database, tmp_path: Path) -> None:
    night = ReportNight(SqlStore(database), tmp_path / "keys")
    long = reports.content(results="Ελληνικά 日本語 é\n" * 4000)

    night.sign(words=long)

    assert night.store.versions_of(CASE)[0].version.content == long
