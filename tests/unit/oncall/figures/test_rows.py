"""One case in figures: clocks, outcomes, periods and causes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oncall.case import commands, commands_report
from oncall.case.event import CaseId
from oncall.case.log import MemoryCaseLog
from oncall.case.matching import attach_request, move_study
from oncall.case.regions import StudyKey
from oncall.directory import Directory, Site, SiteId
from oncall.figures.row import CaseFigure, Cause, Outcome, Period, figure_of, period_of
from tests.unit.oncall.case.cases import ANNE, BRUNO, CASE, Story, at, numbered_ids, us, whole_story

NOWHERE = Directory(sites={}, persons={}, providers={})
STUDY = StudyKey("ROANNE", "1.2.3")
OTHER = CaseId("case-2")
MINUTE_US = 60_000_000
C4 = 1 << 3


def row_of(story: Story) -> CaseFigure:
    return figure_of(story.log.events(story.case_id), lambda _: NOWHERE)


def test_a_whole_story_has_every_instant_and_clock() -> None:
    row = row_of(whole_story())

    assert (row.case_id, row.outcome, row.reader_id, row.counted_at_us) == (CASE, Outcome.REPORTED, "anne", us(10))
    assert (row.c3_us, row.c4_us, row.c5_us, row.c9_us) == (MINUTE_US, 20 * MINUTE_US, 31 * MINUTE_US, 9 * MINUTE_US)
    assert (row.wait_us, row.reading_us) == (3 * MINUTE_US, 17 * MINUTE_US)
    assert (row.running_clocks, row.late_clocks, row.cause) == (0, 0, "")


def test_an_open_case_runs_and_says_when_it_is_due() -> None:
    story = Story()
    story.opened()
    story.complete(10)

    row = row_of(story)

    assert (row.outcome, row.c4_us, row.c4_due_us) == (Outcome.OPEN, None, us(70))
    assert row.running_clocks & C4


def test_giving_a_case_on_after_silence_does_not_restart_the_wait_for_an_answer() -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.assigned(ANNE, 11)
    story.append(commands.record_silence(story.case, ANNE, at(16), silent_s=300), 16)
    story.assigned(BRUNO, 17)
    story.acknowledged(BRUNO, 18)

    row = row_of(story)

    assert (row.c3_us, row.assignments, row.silent_us) == (7 * MINUTE_US, 2, 6 * MINUTE_US)
    assert row.late_clocks == 1 << 2


def test_what_was_retracted_answers_nothing_until_it_is_read_again() -> None:
    story = whole_story()
    story.append(commands_report.retract(story.case, at(50), reason="another patient"), 50)
    retracted = row_of(story)
    story.append(commands.reopen(story.case, at(51), reason="read again", read_again=True), 51)
    story.assigned(BRUNO, 52)
    story.claimed(BRUNO, 53, uid="2.25.2")
    story.signed(BRUNO, 90, content_hash="h2")

    again = row_of(story)

    assert (retracted.outcome, retracted.c4_us, retracted.signed_at_us, retracted.c9_us) == (
        "retracted",
        None,
        None,
        None,
    )
    assert retracted.running_clocks & C4
    assert (again.outcome, again.c4_us, again.reader_id, again.retractions) == ("reported", 80 * MINUTE_US, BRUNO, 1)
    assert again.reading_us == 37 * MINUTE_US
    assert again.late_clocks & C4


def test_an_addendum_ends_no_clock_and_moves_none() -> None:
    story = whole_story()
    before = row_of(story)
    story.append(commands_report.add_addendum(story.case, ANNE, at(500), content_hash="h2", reason="more"), 500)
    story.delivered(501)

    after = row_of(story)

    assert after.addenda == 1
    assert replace(after, addenda=0, seq=before.seq) == before


def test_a_request_that_joined_a_study_is_counted_once() -> None:
    log = MemoryCaseLog(numbered_ids())
    study, asked = Story(log), Story(log, OTHER)
    opened = commands.open_unannounced(_request(), STUDY, at(0), rule="emergency", received=3)
    study.append(opened)
    asked.opened(1)
    joined = attach_request(study.case, asked.case, at(5), reason="same accession")
    asked.append(joined.source, 5)
    study.append(joined.target, 5)
    study.complete(10)

    merged, kept = row_of(asked), row_of(study)

    assert (merged.outcome, merged.running_clocks, merged.c1_us, merged.c5_us) == (Outcome.MERGED, 0, None, None)
    assert (kept.outcome, kept.requested_at_us, kept.images_at_us) == (Outcome.OPEN, us(1), us(10))


def test_a_case_whose_images_went_to_another_is_measured_there() -> None:
    log = MemoryCaseLog(numbered_ids())
    source, target = Story(log), Story(log, OTHER)
    source.append(commands.open_unannounced(_request(), STUDY, at(0), rule="emergency", received=3))
    source.complete(10)
    source.assigned(ANNE, 11)
    target.opened(2)
    moved = move_study(source.case, target.case, STUDY, at(30), reason="its own request")
    source.append(moved.source, 30)
    target.append(moved.target, 30)
    target.acknowledged(ANNE, 31)
    target.claimed(ANNE, 32)
    target.signed(ANNE, 50)

    left, arrived = row_of(source), row_of(target)

    assert (left.outcome, left.running_clocks, left.c4_us) == (Outcome.MOVED, 0, None)
    # The hour began when the images were complete, and the wait for an answer when somebody was first asked.
    assert (arrived.outcome, arrived.c4_us, arrived.c3_us) == (Outcome.REPORTED, 40 * MINUTE_US, 20 * MINUTE_US)


def test_a_refused_request_is_answered_and_not_reported() -> None:
    story = Story()
    story.opened()
    story.append(commands.refuse(story.case, at(4), motive="no indication"), 4)

    row = row_of(story)

    assert (row.outcome, row.c1_us, row.c4_us, row.running_clocks) == (Outcome.REFUSED, 4 * MINUTE_US, None, 0)


def test_time_laid_aside_is_no_reading_time() -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.assigned()
    story.claimed(minutes=20)
    story.append(commands.park(story.case, at(25), transaction_uid="2.25.1", reason="a P1"), 25)
    story.append(commands.resume(story.case, at(40), transaction_uid="2.25.1"), 40)
    story.signed(minutes=45)

    assert row_of(story).reading_us == 10 * MINUTE_US


@pytest.mark.parametrize(
    ("answered", "opened", "signed", "cause"),
    [
        pytest.param(12, 13, 80, Cause.OWN_LENGTH, id="read_for_longer_than_an_hour"),
        pytest.param(40, 50, 75, Cause.SILENCE, id="nobody_answered_for_as_long_as_it_is_late"),
        pytest.param(12, 60, 75, Cause.WAITING, id="nobody_was_free_or_another_came_first"),
    ],
)
def test_a_late_report_has_the_cause_that_explains_the_whole_delay(
    answered: int, opened: int, signed: int, cause: Cause
) -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.assigned(ANNE, 11)
    if answered > 16:
        story.append(commands.record_silence(story.case, ANNE, at(16), silent_s=300), 16)
    story.acknowledged(ANNE, answered)
    story.claimed(ANNE, opened)
    story.signed(ANNE, signed)

    assert row_of(story).cause == cause


def test_waiting_for_images_that_came_late_is_the_transfers_cause() -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.assigned(ANNE, 11)
    story.append(commands.receive_instances(story.case, STUDY, at(55), received=100), 55)
    story.claimed(ANNE, 56)
    story.signed(ANNE, 75)

    assert row_of(story).cause == Cause.TRANSFER


@pytest.mark.parametrize(
    ("instant", "commune", "period"),
    [
        # Paris is an hour ahead of UTC in winter, two in summer; La Réunion four.
        ("2026-11-23T17:29+00:00", "42187", Period.DAY),
        ("2026-11-23T17:30+00:00", "42187", Period.EVENING),
        ("2026-11-23T22:59+00:00", "42187", Period.EVENING),
        ("2026-11-23T23:00+00:00", "42187", Period.DEEP_NIGHT),
        ("2026-11-24T06:59+00:00", "42187", Period.DEEP_NIGHT),
        ("2026-11-24T07:00+00:00", "42187", Period.DAY),
        ("2026-11-22T12:00+00:00", "42187", Period.WEEKEND),
        ("2026-11-11T12:00+00:00", "42187", Period.HOLIDAY),
        ("2027-03-26T12:00+00:00", "57463", Period.HOLIDAY),
        ("2027-03-26T12:00+00:00", "42187", Period.DAY),
        # The night in which October's clocks go back: 08:00 is seven hours after midnight in UTC and nine elapsed.
        ("2026-10-25T06:59+00:00", "42187", Period.DEEP_NIGHT),
        ("2026-10-25T07:00+00:00", "42187", Period.WEEKEND),
    ],
)
def test_periods_are_those_of_the_sites_clock_and_holidays(instant: str, commune: str, period: Period) -> None:
    site = Site(site_id=SiteId("s"), name="s", time_zone="Europe/Paris", commune=commune)

    assert period_of(datetime.fromisoformat(instant), site) is period


def test_a_site_overseas_has_its_own_night() -> None:
    site = Site(site_id=SiteId("piton"), name="p", time_zone="Indian/Reunion", commune="97401")

    assert period_of(datetime(2026, 11, 23, 21, tzinfo=UTC), site) is Period.DEEP_NIGHT


def _request() -> commands.NewRequest:
    return commands.NewRequest(
        site_id=SiteId("roanne"), exam=commands.ExamKind.HEAD, urgency=commands.Urgency.P2, accession_number="A1"
    )
