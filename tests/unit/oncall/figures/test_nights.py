"""Nights out of the log: judged once, judged anew when a case has changed, and their causes in the month's figures."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from oncall.case import commands, commands_report
from oncall.case.event import CaseId
from oncall.case.sql_log import SqlCaseLog
from oncall.directory import Directory, LineId, PersonId, ProviderId
from oncall.documents_store import publish_directory
from oncall.figures.nights import causes_between, judge_nights, last_night, night_of, night_report
from oncall.figures.projection import catch_up
from oncall.figures.row import Cause
from oncall.figures.summary import FigureQuery, summary
from oncall.roster_publication import publish_roster
from oncall.rota.model import Line, LineKind, Roster, ShiftPlan
from oncall.schema import oncall_night_verdict
from oncall.spans import Span
from tests.unit.oncall.case.cases import ANNE, BRUNO, START, Story, after, at, numbered_ids

ZONE = "Europe/Paris"
NIGHT = date(2026, 11, 22)
LATER = START + timedelta(days=3)
NOBODY = Directory(sites={}, persons={}, providers={})


@pytest.fixture
def log(on_disk: Database) -> SqlCaseLog:
    return SqlCaseLog(on_disk, numbered_ids())


def read_late(log: SqlCaseLog, case_id: str, *, opened: float, signed: float) -> Story:
    story = Story(log, CaseId(case_id))
    story.opened()
    story.complete(10)
    story.assigned(ANNE, 11)
    story.claimed(ANNE, opened, uid=f"2.25.{len(case_id)}{case_id[-1]}")
    story.signed(ANNE, signed)
    return story


def on_duty(database: Database, *people: PersonId) -> None:
    lines = tuple(
        Line(
            line_id=LineId(f"line-{one}"), name=one, kind=LineKind.DUTY, provider_id=ProviderId("pool"), time_zone=ZONE,
            commune="42187", rules=(),
        )
        for one in people
    )  # fmt: skip
    plans = tuple(
        ShiftPlan(shift_id=one, line_id=LineId(f"line-{one}"), person_id=one, span=Span(start=START, end=after(600)))
        for one in people
    )
    with database.write(durable=True) as connection:
        publish_directory(connection, NOBODY, by="test", now=START - timedelta(days=1))
        roster = Roster(version="draft", lines=lines, plans=plans)
        publish_roster(connection, roster, NOBODY, by="test", now=START - timedelta(days=1))


def test_a_night_is_judged_by_who_was_on_duty(database: Database) -> None:
    log = SqlCaseLog(database, numbered_ids())
    on_duty(database, ANNE, BRUNO)
    read_late(log, "case-1", opened=12, signed=50)
    read_late(log, "case-2", opened=51, signed=80)
    catch_up(database)

    report = night_report(database, NIGHT, ZONE, LATER)

    # Bruno was there and read nothing: the second case could have been his.
    assert dict(report.verdict.causes()) == {"case-2": Cause.ORDER}
    assert (report.verdict.in_time, report.verdict.bound, report.verdict.cases) == (1, 2, 2)
    assert report.figures.hour.breaches == {Cause.ORDER: 1}
    assert report.is_over


def test_without_him_it_is_capacity(on_disk: Database, log: SqlCaseLog) -> None:
    on_duty(on_disk, ANNE)
    read_late(log, "case-1", opened=12, signed=50)
    read_late(log, "case-2", opened=51, signed=90)
    catch_up(on_disk)

    assert dict(night_report(on_disk, NIGHT, ZONE, LATER).verdict.causes()) == {"case-2": Cause.CAPACITY}


def test_who_did_not_answer_is_silence(on_disk: Database, log: SqlCaseLog) -> None:
    on_duty(on_disk, ANNE, BRUNO)
    read_late(log, "case-1", opened=12, signed=50)
    story = Story(log, CaseId("case-2"))
    story.opened()
    story.complete(10)
    story.assigned(BRUNO, 11)
    story.append(commands.record_silence(story.case, BRUNO, at(16), silent_s=300), 16)
    story.assigned(ANNE, 17)
    story.claimed(ANNE, 51, uid="2.25.9")
    story.signed(ANNE, 90)
    catch_up(on_disk)

    assert dict(night_report(on_disk, NIGHT, ZONE, LATER).verdict.causes()) == {"case-2": Cause.SILENCE}


def test_a_verdict_is_kept_and_given_anew_when_a_case_changes(on_disk: Database, log: SqlCaseLog) -> None:
    read_late(log, "case-1", opened=55, signed=90)
    catch_up(on_disk)
    first = night_report(on_disk, NIGHT, ZONE, LATER)
    assert _kept(on_disk) == 1

    again = night_report(on_disk, NIGHT, ZONE, LATER + timedelta(hours=1))
    story = Story(log, CaseId("case-1"))
    story.append(commands_report.retract(story.case, at(100), reason="another patient"), 100)
    catch_up(on_disk)
    changed = night_report(on_disk, NIGHT, ZONE, LATER + timedelta(hours=2))

    assert again.verdict == first.verdict
    assert [one.elapsed_s for one in first.verdict.late] == [80 * 60]
    assert [one.elapsed_s for one in changed.verdict.late] == [None]
    assert _kept(on_disk) == 1


def test_a_night_that_is_not_over_is_judged_and_not_kept(on_disk: Database, log: SqlCaseLog) -> None:
    read_late(log, "case-1", opened=55, signed=90)
    catch_up(on_disk)

    report = night_report(on_disk, NIGHT, ZONE, after(120))

    assert (report.is_over, report.verdict.cases, _kept(on_disk)) == (False, 1, 0)


def test_the_month_takes_its_causes_from_its_nights(on_disk: Database, log: SqlCaseLog) -> None:
    read_late(log, "case-1", opened=55, signed=90)
    catch_up(on_disk)
    month = FigureQuery(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC))

    judged = judge_nights(on_disk, month.since, month.until, ZONE, LATER)
    with on_disk.read() as connection:
        causes = causes_between(connection, month.since, month.until, ZONE)
        found = summary(connection, month, LATER, causes=causes)

    assert judged == 1
    assert found.hour.breaches == {Cause.CAPACITY: 1}


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-11-23T09:00+01:00", date(2026, 11, 22)),
        ("2026-11-23T08:29+01:00", date(2026, 11, 21)),
        ("2026-11-23T23:00+01:00", date(2026, 11, 22)),
        ("2026-10-25T08:31+01:00", date(2026, 10, 24)),
    ],
)
def test_the_last_night_is_the_newest_whose_morning_has_come(now: str, night: date) -> None:
    assert last_night(datetime.fromisoformat(now), ZONE) == night


def test_every_instant_is_in_one_night_also_when_clocks_change() -> None:
    october = [night_of(date(2026, 10, 20) + timedelta(days=number), ZONE) for number in range(10)]

    assert all(before.end == then.start for before, then in pairwise(october))
    assert [span.hours for span in october if span.hours != 24] == [25]


def _kept(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(oncall_night_verdict)).all())
