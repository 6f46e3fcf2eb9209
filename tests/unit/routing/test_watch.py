"""The watch over sites on a database: what is told in the outbox, kept over a restart, learned, and let go."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from foundation import outbox
from foundation.clock import ManualClock
from foundation.database import Database
from pacs.contracts import TOPIC_SITE_LINK
from pacs.routing.watch import Watching, read_watches
from pacs.routing.watchdog import Cause, SiteState, WatchPlan
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.routing import PARIS, START, keep_study, later

SITES = {"CT1": "north", "CT2": "south"}
NORTH = WatchPlan(site_id="north", silent_after_s=1200.0, echo_peers=("CT1",))


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    with open_archive(database, tmp_path / "journal", clock=ManualClock(START)) as opened:
        yield opened


class Machines:
    """Who answers C-ECHO."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, ae_title: str) -> bool:
        """Say whether a machine answers."""
        self.asked.append(ae_title)
        return ae_title not in self.silent


def watching(
    database: Database, clock: ManualClock, *plans: WatchPlan, machines: Machines | None = None, every: bool = False
) -> Watching:
    return Watching(
        database, plans, lambda aet: SITES.get(aet, ""), clock,
        zone=PARIS, echo=machines or Machines(), watches_every_site=every,
    )  # fmt: skip


def told(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        events = outbox.read_after(connection, 0, topics=[TOPIC_SITE_LINK])
    return [(event.payload["site_id"], event.payload["state"], event.payload["cause"]) for event in events]


def pass_by(watch: Watching, clock: ManualClock, **by: float) -> None:
    """Listen every minute while time passes."""
    for _ in range(int(timedelta(**by).total_seconds() // 60)):
        later(clock, minutes=1)
        watch.listen()


def test_silence_and_return_are_told_in_the_outbox(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, NORTH)
    watch.listen()
    keep_study(archive, 1, calling_aet="CT1")
    pass_by(watch, clock, minutes=30)
    keep_study(archive, 2, calling_aet="CT2")
    pass_by(watch, clock, minutes=5)
    assert told(archive.database) == [("north", "silent", "quiet")], "another site's images prove nothing"

    keep_study(archive, 3, calling_aet="CT1")
    pass_by(watch, clock, minutes=1)

    assert told(archive.database) == [("north", "silent", "quiet"), ("north", "back", "")]
    with archive.database.read() as connection:
        first = outbox.read_after(connection, 0, topics=[TOPIC_SITE_LINK])[0]
    # Its last image was heard in the first minute, and twenty are allowed.
    assert (first.payload["since_s"], first.created_at_s) == (1200.0, (START + timedelta(minutes=21)).timestamp())


def test_what_was_told_is_not_told_again_after_a_restart(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, NORTH)
    watch.listen()
    pass_by(watch, clock, minutes=30)
    again = watching(archive.database, clock, NORTH)
    again.listen()
    pass_by(again, clock, minutes=30)

    assert told(archive.database) == [("north", "silent", "quiet")]


def test_time_in_which_nobody_listened_makes_nobody_silent(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, NORTH)
    watch.listen()
    pass_by(watch, clock, minutes=15)
    later(clock, hours=10)
    again = watching(archive.database, clock, NORTH)
    again.listen()
    pass_by(again, clock, minutes=4)
    assert told(archive.database) == []

    # What was kept of the fifteen minutes goes on.
    pass_by(again, clock, minutes=2)
    assert told(archive.database) == [("north", "silent", "quiet")]


def test_what_came_while_nobody_listened_is_heard_after_the_restart(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, NORTH)
    watch.listen()
    pass_by(watch, clock, minutes=19)
    keep_study(archive, 1, calling_aet="CT1")
    again = watching(archive.database, clock, NORTH)
    again.listen()
    pass_by(again, clock, minutes=10)

    assert told(archive.database) == []


def test_a_link_that_is_down_is_told_and_every_machine_is_asked_once_a_round(archive: Archive) -> None:
    clock, machines = ManualClock(START), Machines()
    watch = watching(archive.database, clock, NORTH, machines=machines)
    watch.listen()
    machines.silent = {"CT1"}
    for _ in range(6):
        watch.probe()
        pass_by(watch, clock, minutes=1)
    assert told(archive.database) == [("north", "silent", "link")]
    assert machines.asked == ["CT1"] * 6

    machines.silent = set()
    for _ in range(2):
        watch.probe()
        pass_by(watch, clock, minutes=1)
    assert told(archive.database)[1:] == [("north", "back", "")]


def test_habits_are_learned_kept_and_miss_a_site_that_nobody_configured(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, every=True)
    for week in range(12):
        # An hour of each Thursday with an image every ten minutes.
        for minute in range(0, 60, 5):
            if minute % 10 == 0:
                keep_study(archive, 1, images=1, first=100 * week + minute, calling_aet="CT1")
            watch.listen()
            later(clock, minutes=5)
        later(clock, days=7, minutes=-60)
    watch.listen()
    assert told(archive.database) == []

    again = watching(archive.database, clock, every=True)
    again.listen()
    pass_by(again, clock, minutes=58)

    assert {one.site_id for one in again.watches} == {"north"}
    assert told(archive.database) == [("north", "silent", "quiet")]


def test_a_silent_site_that_is_no_longer_watched_is_not_silent_for_ever(archive: Archive) -> None:
    clock = ManualClock(START)
    watch = watching(archive.database, clock, NORTH)
    watch.listen()
    pass_by(watch, clock, minutes=30)
    watching(archive.database, clock).listen()

    assert told(archive.database) == [("north", "silent", "quiet"), ("north", "back", "")]
    with archive.database.read() as connection:
        assert read_watches(connection) == []


def test_the_watch_runs_in_threads_until_it_is_stopped(archive: Archive) -> None:
    clock, stopping = ManualClock(START), threading.Event()
    watch = watching(archive.database, clock, NORTH)
    threads = [
        threading.Thread(target=watch.run, args=(stopping,)),
        threading.Thread(target=watch.run_probes, args=(stopping,), kwargs={"every_s": 0.01}),
    ]
    for thread in threads:
        thread.start()
    stopping.set()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert all(one.state is SiteState.HEARD and one.cause is Cause.NONE for one in watch.watches)
