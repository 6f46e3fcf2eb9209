"""Rows are kept up to date beside the engine, and a database that is away ends nothing."""

from pathlib import Path

from sqlalchemy import func, select

from foundation.database import Database, sqlite_url
from oncall.case.sql_log import SqlCaseLog
from oncall.figures.upkeep import FigureUpkeep
from oncall.schema import oncall_case_figure
from tests.unit.oncall.case.cases import numbered_ids, whole_story


def test_a_round_takes_in_what_is_new_and_the_next_finds_nothing(on_disk: Database) -> None:
    upkeep = FigureUpkeep(on_disk)
    whole_story(SqlCaseLog(on_disk, numbered_ids()))

    assert upkeep.round() == 1
    assert upkeep.round() == 0
    with on_disk.read() as connection:
        assert connection.execute(select(func.count()).select_from(oncall_case_figure)).scalar_one() == 1


def test_a_round_without_a_database_writes_nothing_and_raises_nothing(tmp_path: Path) -> None:
    # A file without a table answers every question with an error of the driver, as one that has gone does.
    away = Database(sqlite_url(tmp_path / "figures.sqlite"))

    assert FigureUpkeep(away).round() == 0
    away.close()
