"""Exams that a recent one may have answered are counted once a case, by what a radiologist said of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from foundation.database import Database
from oncall.case import commands
from oncall.case.event import CaseId
from oncall.case.regions import StudyKey
from oncall.case.sql_log import SqlCaseLog
from oncall.case.vocabulary import EventType
from oncall.directory import SiteId
from oncall.figures.documents import to_json
from oncall.figures.projection import catch_up
from oncall.figures.redundancy import RedundantExams, redundant_exams
from oncall.figures.summary import FigureQuery, summary
from oncall.schema import PRIOR_EXAM_FOUND, oncall_case_event
from tests.unit.oncall.case.cases import START, Story, at, numbered_ids

SINCE, UNTIL = START - timedelta(days=1), START + timedelta(days=1)


@pytest.fixture
def log(database: Database) -> SqlCaseLog:
    return SqlCaseLog(database, numbered_ids())


def case_with(log: SqlCaseLog, number: int, *outcomes: str) -> Story:
    """Open a case; each outcome is of a study of its own unless it follows another one, after a dash."""
    story = Story(log, CaseId(f"case-{number}"))
    story.opened()
    for place, said in enumerate(outcomes):
        study = StudyKey("ROANNE", f"1.2.{place}")
        for minute, outcome in enumerate(said.split("-"), start=1):
            found = commands.say(
                story.case, at(minute), EventType.REQUEST_PRIOR_EXAM_FOUND, outcome=outcome, **study._asdict()
            )
            story.append(found, minute)
    return story


def counted(database: Database, *sites: str) -> RedundantExams:
    catch_up(database)
    with database.read() as connection:
        return redundant_exams(connection, SINCE, UNTIL, [SiteId(site) for site in sites])


def test_each_case_is_counted_once_by_what_weighs_most(database: Database, log: SqlCaseLog) -> None:
    case_with(log, 1)
    case_with(log, 2, "found")
    case_with(log, 3, "found-confirmed")
    case_with(log, 4, "found", "found-avoided", "found-confirmed")
    case_with(log, 5, "found-void")

    assert counted(database) == RedundantExams(avoided=1, needed=1, unjudged=1)
    assert counted(database).found == 3


def test_only_cases_of_the_span_and_of_the_hospitals_asked_for_count(database: Database, log: SqlCaseLog) -> None:
    story = case_with(log, 1, "found-avoided")

    assert counted(database, "nowhere") == RedundantExams()
    assert counted(database, story.case.site_id).avoided == 1
    with database.read() as connection:
        assert redundant_exams(connection, UNTIL, UNTIL + timedelta(days=1)) == RedundantExams()


def test_the_figures_of_a_span_tell_them(database: Database, log: SqlCaseLog) -> None:
    case_with(log, 1, "found-avoided")
    catch_up(database)
    with database.read() as connection:
        found = summary(connection, FigureQuery(since=SINCE, until=UNTIL), UNTIL)

    assert to_json(found)["redundant"] == {"found": 1, "avoided": 1, "needed": 0, "unjudged": 0}


def test_the_few_events_are_found_by_their_own_index(on_disk: Database) -> None:
    with on_disk.read() as connection:
        wanted = select(oncall_case_event.c.case_id).where(PRIOR_EXAM_FOUND)
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {wanted}")).all()

    assert "ix_oncall_case_event_prior_exam_found" in str(plan)
