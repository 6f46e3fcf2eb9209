"""A night that the real engine has read: its figures are what the simulation saw happen, to the microsecond."""

from datetime import date, timedelta

import numpy as np
import pytest
from sqlalchemy import select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.instants import microseconds
from oncall.case.sql_log import keep
from oncall.documents_store import publish_directory
from oncall.figures.bound import chairs, in_time_max
from oncall.figures.nights import NightReport, night_report
from oncall.figures.projection import catch_up, differences
from oncall.reading.board import Urgency
from oncall.reading.policy import DEFAULT
from oncall.roster_publication import publish_roster
from oncall.schema import oncall_case_figure
from oncall.simulation.arrivals import Night, draw_night
from oncall.simulation.engine_run import EngineOnCall
from oncall.simulation.night import NightResult, Staffing, simulate
from oncall.simulation.staff import EVENING, TIME_ZONE, instant, roster, territory

STAFFING = Staffing(evening=2, deep_night=1, callable_backups=2)
MORNING = EVENING + timedelta(days=2)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, NightResult, Database]:
    """Let the engine read a night with too few readers, and put its log into a database."""
    night = draw_night(1003, 90)
    sites = {case.arrived.site for case in night.cases}
    oncall = EngineOnCall(STAFFING, sites, DEFAULT)
    result = simulate(night, STAFFING, oncall)
    database = Database(sqlite_url(tmp_path_factory.mktemp("night") / "index.sqlite"))
    database.create_tables()
    directory = territory(STAFFING, sites)
    with database.write(durable=True) as connection:
        publish_directory(connection, directory, by="test", now=EVENING)
        publish_roster(connection, roster(STAFFING), directory, by="test", now=EVENING)
        keep(connection, [one.event for one in oncall.store.events_after(0)], ())
    catch_up(database)
    return night, result, database


@pytest.fixture(scope="module")
def report(played: tuple[Night, NightResult, Database]) -> NightReport:
    return night_report(played[2], date(2026, 11, 20), TIME_ZONE, MORNING)


def test_every_row_has_the_times_that_the_world_saw(played: tuple[Night, NightResult, Database]) -> None:
    night, result, database = played
    with database.read() as connection:
        rows = {row.case_id: row for row in connection.execute(select(oncall_case_figure))}
        assert differences(connection) == ()

    assert len(rows) == len(night.cases)
    for case, outcome in zip(night.cases, result.outcomes, strict=True):
        row = rows[case.arrived.case_id]
        ready_us, done_us = microseconds(instant(case.arrived.ready_min)), microseconds(instant(outcome.done_min))
        assert row.c4_us == done_us - ready_us
        assert row.wait_us == microseconds(instant(outcome.start_min)) - ready_us
        assert row.reading_us == done_us - microseconds(instant(outcome.start_min))
        assert (row.reader_id, row.provider_id) == (outcome.reader.partition("/")[0], "pool")


def test_the_nights_figures_are_those_of_its_cases(
    played: tuple[Night, NightResult, Database], report: NightReport
) -> None:
    night, result, _ = played
    minutes = [
        float(outcome.done_min - case.arrived.ready_min)
        for case, outcome in zip(night.cases, result.outcomes, strict=True)
    ]
    hour = report.figures.hour
    p1 = sum(case.arrived.urgency is Urgency.P1 for case in night.cases)

    assert (hour.in_time.count, hour.in_time.of) == (sum(one <= 60 for one in minutes), len(minutes))
    assert hour.elapsed.p95_s == pytest.approx(60 * float(np.percentile(minutes, 95, method="inverted_cdf")), abs=1e-5)
    assert hour.elapsed.max_s == pytest.approx(60 * max(minutes), abs=1e-5)
    assert hour.p1_wait.n >= p1


def test_the_clairvoyant_of_the_log_agrees_with_that_of_the_simulation(
    played: tuple[Night, NightResult, Database], report: NightReport
) -> None:
    night, result, _ = played
    verdict = report.verdict
    best = in_time_max(night, chairs(STAFFING, result.backups))

    # The log's has the paid hours of backups, the simulation's until they were let go.
    assert verdict.in_time <= verdict.bound
    assert abs(verdict.bound - best) <= 1
    assert verdict.cases == len(night.cases)
    assert len(verdict.late) == verdict.cases - verdict.in_time > 0
