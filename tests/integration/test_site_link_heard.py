"""What the watch over sites states reaches the cases: the engine hears it on the same database, as it was meant."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pacs.routing.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.engine.sql_store import SqlStore
from pacs.routing.watch import Watching
from pacs.routing.watchdog import WatchPlan
from tests.harness.archive_parts import open_archive
from tests.harness.routing import keep_study
from tests.harness.small_territory import at, engine, in_force, request

ALLOWED = timedelta(minutes=20)


def test_a_site_that_goes_silent_puts_its_cases_into_degraded_mode_until_its_next_image(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    clock = ManualClock(at(0))
    plan = WatchPlan(site_id="north", silent_after_s=ALLOWED.total_seconds())
    watch = Watching(database, [plan], lambda _: "north", clock, zone=ZoneInfo("Europe/Paris"), echo=lambda _: True)
    runner = engine(SqlStore(database), in_force())
    runner.open_case(CaseId("waiting"), request(), at(0))

    def minutes_pass(count: int) -> None:
        for _ in range(count):
            clock.advance(timedelta(minutes=1))
            watch.listen()
        runner.take_site_links(clock.now())

    with open_archive(database, tmp_path / "journal", clock=clock) as archive:
        watch.listen()
        keep_study(archive, 1)
        minutes_pass(1)
        last_image = clock.now()
        minutes_pass(19)
        assert runner.case(CaseId("waiting")).images.link_lost_at is None
        minutes_pass(1)
        lost = runner.case(CaseId("waiting")).images.link_lost_at
        links_lost = dict(runner.night.duty.links_lost)
        keep_study(archive, 2)
        minutes_pass(1)

    assert lost == at(21)
    assert links_lost == {"north": last_image}
    assert runner.case(CaseId("waiting")).images.link_lost_at is None
    assert runner.night.duty.links_lost == {}
    database.close()
