"""Versions of documents: written once, one of a kind in force, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from foundation.database import Database
from foundation.errors import Refused
from oncall import documents_store
from oncall.documents_store import DocumentKind, NothingPublished

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def publish(database: Database, version: str, document: dict[str, object], now: datetime = NOW) -> str:
    with database.write(durable=True) as connection:
        made = documents_store.publish(connection, DocumentKind.ROSTER, version, document, by="planner", now=now)
    return made.version


def test_the_newest_published_version_is_in_force_and_older_ones_stay(database: Database) -> None:
    publish(database, "v1", {"a": 1})
    publish(database, "v2", {"a": 2}, NOW + timedelta(hours=1))

    with database.read() as connection:
        assert documents_store.in_force(connection, DocumentKind.ROSTER).version == "v2"
        old = documents_store.latest(connection, DocumentKind.ROSTER, at=NOW + timedelta(minutes=59))
        assert old is not None
        assert (old.version, old.body, old.published_at, old.published_by) == ("v1", '{"a":1}', NOW, "planner")
        assert documents_store.latest(connection, DocumentKind.ROSTER, at=NOW - timedelta(seconds=1)) is None
        newest = documents_store.versions(connection, DocumentKind.ROSTER, versions_max=1)
        assert [one.version for one in newest] == ["v2"]


def test_a_version_is_never_changed(database: Database) -> None:
    publish(database, "v1", {"a": 1})

    with pytest.raises(Refused, match="never changes"):
        publish(database, "v1", {"a": 2})


def test_publishing_the_same_again_changes_nothing(database: Database) -> None:
    publish(database, "v1", {"a": 1})
    publish(database, "v2", {"a": 2})
    publish(database, "v1", {"a": 1}, NOW + timedelta(days=1))

    with database.read() as connection:
        assert documents_store.in_force(connection, DocumentKind.ROSTER).version == "v2"


def test_a_clock_that_was_set_back_does_not_put_an_older_version_in_force(database: Database) -> None:
    publish(database, "v1", {"a": 1})
    publish(database, "v2", {"a": 2}, NOW - timedelta(hours=1))

    with database.read() as connection:
        assert documents_store.in_force(connection, DocumentKind.ROSTER).version == "v2"


def test_kinds_do_not_hide_each_other_and_nothing_is_not_an_empty_document(database: Database) -> None:
    publish(database, "v1", {"a": 1})

    with database.read() as connection, pytest.raises(NothingPublished, match="no directory has been published"):
        documents_store.in_force(connection, DocumentKind.DIRECTORY)


def test_a_version_name_tells_when_and_what() -> None:
    first = documents_store.version_name({"a": 1}, NOW)

    assert first.startswith("20261025T003000.000000Z-")
    assert first != documents_store.version_name({"a": 2}, NOW)
    assert first == documents_store.version_name({"a": 1}, NOW)


def test_a_name_that_is_no_name_is_refused(database: Database) -> None:
    with pytest.raises(Refused, match="1 to 64 characters"):
        publish(database, "v" * 65, {})
