"""Drafts: one writer at a time, old tabs refused, no words lost, on both databases."""

import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from foundation.database import Database, sqlite_url
from foundation.errors import PeerError, Refused
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.report import drafts
from oncall.report.drafts import LEASE, DraftHeld, Drafts, StaleRevision
from tests.harness import reports

CASE = CaseId("case-1")
ANNA, ZOE = PersonId("anna"), PersonId("zoé")


def at(minutes: float) -> datetime:
    return reports.SIGNED_AT + timedelta(minutes=minutes)


def test_each_save_is_the_next_revision_and_is_found_again(database: Database) -> None:
    kept = Drafts(database)
    begun = kept.open(CASE, ANNA, at(0), reports.content(results=""))
    first = kept.save(CASE, ANNA, begun.revision, reports.content(results="Pas d'"), at(1))
    second = kept.save(CASE, ANNA, first.revision, reports.content(results="Pas d'hémorragie"), at(2))

    assert [one.revision for one in (begun, first, second)] == [0, 1, 2]
    assert Drafts(database).find(CASE) == second
    assert second.leased_until == at(2) + LEASE


def test_opening_again_goes_on_with_what_was_saved(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content(results=""))
    kept.save(CASE, ANNA, 0, reports.content(results="dicté"), at(1))

    again = kept.open(CASE, ANNA, at(30), reports.content(results="from the template"))

    assert (again.content.results, again.revision) == ("dicté", 1)


def test_a_second_person_is_told_who_writes_and_until_when(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    kept.save(CASE, ANNA, 0, reports.content(results="x"), at(3))

    with pytest.raises(DraftHeld, match="somebody else") as refusal:
        kept.open(CASE, ZOE, at(4), reports.content())

    assert (refusal.value.person_id, refusal.value.until) == (ANNA, at(3) + LEASE)
    assert kept.find(CASE) is not None


def test_when_the_lease_has_run_out_another_goes_on_with_the_words(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    kept.save(CASE, ANNA, 0, reports.content(results="of anna"), at(0))

    taken = kept.open(CASE, ZOE, at(0) + LEASE, reports.content(results="ignored"))

    assert (taken.person_id, taken.content.results) == (ZOE, "of anna")
    with pytest.raises(DraftHeld):
        kept.save(CASE, ANNA, 1, reports.content(results="anna again"), at(6))
    assert [(one.happened, one.person_id, one.from_person_id) for one in kept.events_of(CASE)] == [
        ("opened", ANNA, None),
        ("taken_over", ZOE, ANNA),
    ]


def test_who_was_not_disturbed_writes_on_after_the_lease(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())

    assert kept.save(CASE, ANNA, 0, reports.content(results="late"), at(60)).leased_until == at(60) + LEASE


def test_a_take_over_is_recorded_and_ends_the_other_s_writing(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    taken = kept.take_over(CASE, ZOE, at(1))
    kept.save(CASE, ZOE, taken.revision, reports.content(results="of zoé"), at(1))

    with pytest.raises(DraftHeld) as refusal:
        kept.save(CASE, ANNA, 0, reports.content(results="of anna"), at(2))
    assert refusal.value.person_id == ZOE
    assert kept.events_of(CASE)[-1].happened == "taken_over"
    assert kept.take_over(CASE, ZOE, at(2)).revision == 1
    assert len(kept.events_of(CASE)) == 2


def test_an_old_tab_cannot_put_its_words_over_newer_ones(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    kept.save(CASE, ANNA, 0, reports.content(results="new tab"), at(1))
    kept.save(CASE, ANNA, 1, reports.content(results="new tab, more"), at(2))

    for revision in (0, 1, 3):
        with pytest.raises(StaleRevision) as refusal:
            kept.save(CASE, ANNA, revision, reports.content(results="old tab"), at(3))
        assert refusal.value.revision == 2
    found = kept.find(CASE)
    assert found is not None
    assert found.content.results == "new tab, more"


def test_a_save_whose_answer_was_lost_may_be_sent_again(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    first = kept.save(CASE, ANNA, 0, reports.content(results="once"), at(1))

    assert kept.save(CASE, ANNA, 0, reports.content(results="once"), at(2)).revision == first.revision


def test_a_released_draft_is_free_at_once_and_keeps_its_words(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content(results="half"))
    kept.release(CASE, ZOE, at(1))
    kept.release(CASE, ANNA, at(1))

    taken = kept.open(CASE, ZOE, at(1), reports.content())

    assert taken.content.results == "half"
    assert [one.happened for one in kept.events_of(CASE)] == ["opened", "released", "taken_over"]


def test_signing_ends_the_signer_s_draft_and_sets_another_s_words_aside(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content())
    with database.write(durable=True) as connection:
        drafts.close_signed(connection, CASE, ANNA, at(1))
    with pytest.raises(Refused, match="there is no draft"):
        kept.save(CASE, ANNA, 0, reports.content(), at(2))
    kept.open(CASE, ANNA, at(3), reports.content(results="unsigned words"), base_version=1)
    with database.write(durable=True) as connection:
        drafts.close_signed(connection, CASE, ZOE, at(4))
        drafts.close_signed(connection, CASE, ZOE, at(4))

    assert kept.find(CASE) is None
    events = kept.events_of(CASE)
    assert [one.happened for one in events] == ["opened", "signed", "opened", "set_aside"]
    assert events[-1].content == reports.content(results="unsigned words")


def test_a_draft_begun_before_a_version_was_signed_is_set_aside(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content(results="before"))

    with pytest.raises(DraftHeld):
        kept.open(CASE, ZOE, at(1), reports.content(results="addendum"), base_version=1)
    begun = kept.open(CASE, ANNA, at(1), reports.content(results="addendum"), base_version=1)

    assert (begun.content.results, begun.revision, begun.base_version) == ("addendum", 0, 1)
    assert [one.happened for one in kept.events_of(CASE)] == ["opened", "set_aside", "opened"]


def test_words_no_document_can_hold_are_not_saved(database: Database) -> None:
    kept = Drafts(database)
    kept.open(CASE, ANNA, at(0), reports.content(results="good"))

    with pytest.raises(PeerError, match="control character"):
        kept.save(CASE, ANNA, 0, reports.content(results="\x00"), at(1))
    found = kept.find(CASE)
    assert found is not None
    assert found.content.results == "good"


def test_what_was_saved_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "drafts.sqlite")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        database = Database(url)
        database.create_tables()
        kept = Drafts(database)
        kept.open(CASE, ANNA, at(0), reports.content(results="é" * 60_000))
        for revision in range(5):
            kept.save(CASE, ANNA, revision, reports.content(results=f"{revision} " + "é" * 60_000), at(1))
        os.write(write, b"5")
        signal.pause()
    assert os.read(read, 1) == b"5"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    database = Database(url)
    found = Drafts(database).find(CASE)
    database.close()
    assert found is not None
    assert (found.revision, found.content.results) == (5, "4 " + "é" * 60_000)
