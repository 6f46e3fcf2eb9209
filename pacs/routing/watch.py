"""Watches sites for silence: listens to the outbox, asks machines by C-ECHO, keeps what it knows, tells changes.

For: running `pacs.routing.watchdog` in a process, one of all that share a database. Not for: deciding.

Invariant: a change of a site is kept, and told in the outbox (``site_link/1``), in one durable transaction; what is
kept between changes (how long it is quiet, habits) may be lost by a crash, and a silence is then told a little later.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from foundation import log, outbox
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_SITE_LINK
from pacs.routing.intake import SiteOf
from pacs.routing.schema import site_habit, site_watch
from pacs.routing.watchdog import (
    QUARTER_S,
    Cause,
    Habit,
    Link,
    SiteState,
    Watch,
    WatchPlan,
    link_down_since,
    listened,
    probed,
    quarter_of,
)

CONSUMER: Final = "site_watch"
"""Name of the outbox cursor."""

LISTEN_EVERY_S: Final = 5.0

PASSED_S_MAX: Final = 60.0
"""Of the time since the last look; what is longer was no listening: the database was away, or the machine stood."""

KEEP_EVERY_S: Final = 60.0
"""How often what is not a change is kept."""

SITES_MAX: Final = 1000
"""Sites that are watched by their habits: more than a territory has."""

PROBES_AT_ONCE_MAX: Final = 8

Echo = Callable[[str], bool]
"""Asks a machine by C-ECHO; returns whether it answered, within seconds."""


class Watching:
    """The watch over all sites.

    Parameters
    ----------
    database : Database
    plans : iterable of WatchPlan
    site_of : callable
        Whose AE a calling AE title is.
    clock : Clock
    zone : tzinfo
        By whose wall clock hours and habits are.
    echo : callable
    watches_every_site : bool
        Whether sites without a plan are watched by their habits once they have sent.
    """

    def __init__(
        self,
        database: Database,
        plans: Iterable[WatchPlan],
        site_of: SiteOf,
        clock: Clock,
        *,
        zone: tzinfo,
        echo: Echo,
        watches_every_site: bool = False,
    ) -> None:
        self._database = database
        self._plans = {plan.site_id: plan for plan in plans}
        self._site_of = site_of
        self._clock = clock
        self._zone = zone
        self._echo = echo
        self._watches_every_site = watches_every_site
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._watches: dict[str, Watch] = {}
        self._habits: dict[str, Habit] = {}
        self._unwritten: set[str] = set()
        self._active: set[str] = set()
        self._quarter: datetime | None = None
        self._is_whole_quarter = False
        self._cursor = 0
        self._listened_at_s = 0.0
        self._kept_at_s = 0.0
        self._is_begun = False

    def run(self, stopping: threading.Event) -> None:
        """Listen until `stopping` is set."""
        while not stopping.is_set():
            try:
                self.listen()
            except Unavailable:
                log.warning("watch_waits_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: listening must go on when one look fails
                log.error("watch_failed", error=type(error).__name__)
            stopping.wait(LISTEN_EVERY_S)

    def run_probes(self, stopping: threading.Event, *, every_s: float) -> None:
        """Ask all machines again and again until `stopping` is set."""
        if not self._machines():
            return
        while not stopping.is_set():
            try:
                self.probe()
            except Exception as error:  # noqa: BLE001  # edge of a thread: asking must go on when one round fails
                log.error("watch_failed", error=type(error).__name__)
            stopping.wait(every_s)

    def probe(self) -> None:
        """Ask every machine once, some at a time."""
        machines = self._machines()
        with ThreadPoolExecutor(max_workers=PROBES_AT_ONCE_MAX, thread_name_prefix="routing-echo") as pool:
            answers = list(pool.map(self._echo, machines))
        now = self._clock.now()
        with self._lock:
            for machine, has_answered in zip(machines, answers, strict=True):
                self._links[machine] = probed(self._links.get(machine, Link()), now, has_answered=has_answered)

    def listen(self) -> None:
        """Take in what came since the last time, and tell what changed.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer; what came is taken in the next time.
        """
        if not self._is_begun:
            self._begin()
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        heard = self._heard()
        passed_s = min(now_s - self._listened_at_s, PASSED_S_MAX)
        changed: list[Watch] = []
        watches = dict(self._watches)
        for site_id in self._watched(heard):
            plan = self._plans.get(site_id) or WatchPlan(site_id=site_id)
            with self._lock:
                links = [self._links.get(machine, Link()) for machine in plan.echo_peers]
            before = watches.get(site_id) or Watch(site_id=site_id, since=now)
            watch, is_news = listened(
                before, plan, self._habits.get(site_id, Habit()), now,
                zone=self._zone, passed_s=passed_s, has_heard=site_id in heard, link_down=link_down_since(links),
            )  # fmt: skip
            watches[site_id] = watch
            if is_news:
                changed.append(watch)
        if changed:
            self._tell(changed, now)
        self._watches = watches
        self._listened_at_s = now_s
        self._learn(heard, now)
        if now_s - self._kept_at_s >= KEEP_EVERY_S:
            self._keep(now_s)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What is known of each site."""
        return tuple(self._watches.values())

    def _machines(self) -> list[str]:
        return sorted({machine for plan in self._plans.values() for machine in plan.echo_peers})

    def _watched(self, heard: set[str]) -> list[str]:
        sites = {*self._plans, *self._watches}
        if self._watches_every_site:
            sites |= set(sorted(heard)[: max(0, SITES_MAX - len(sites))])
        return sorted(sites)

    def _begin(self) -> None:
        with self._database.read() as connection:
            cursors = outbox.outbox_cursor
            found = connection.execute(
                select(cursors.c.event_id).where(cursors.c.consumer == CONSUMER)
            ).scalar_one_or_none()
            self._cursor = outbox.last_event_id(connection) if found is None else int(found)
            kept = read_watches(connection)
            self._habits = _read_habits(connection)
        is_watched = {watch.site_id: watch.site_id in self._plans or self._watches_every_site for watch in kept}
        self._watches = {watch.site_id: watch for watch in kept if is_watched[watch.site_id]}
        self._let_go([watch for watch in kept if not is_watched[watch.site_id]])
        self._listened_at_s = self._kept_at_s = self._clock.monotonic_s()
        self._is_begun = True

    def _let_go(self, unwatched: Sequence[Watch]) -> None:
        """Forget sites that are no longer watched; one that was silent must not stay so for ever."""
        if not unwatched:
            return
        now = self._clock.now()
        silent = [watch for watch in unwatched if watch.state is SiteState.SILENT]
        if silent:
            self._tell([replace(watch, state=SiteState.HEARD, cause=Cause.NONE, since=now) for watch in silent], now)
        with self._database.write() as connection:
            gone = [watch.site_id for watch in unwatched]
            connection.execute(delete(site_watch).where(site_watch.c.site_id.in_(gone)))

    def _heard(self) -> set[str]:
        heard: set[str] = set()
        while True:
            with self._database.read() as connection:
                events = outbox.read_after(connection, self._cursor, topics=[TOPIC_INSTANCES_STORED])
            callers = {str(event.payload.get("calling_aet") or "") for event in events}
            heard |= {self._site_of(caller) for caller in callers}
            if not events:
                return heard - {""}
            self._cursor = events[-1].event_id

    def _tell(self, changed: Sequence[Watch], now: datetime) -> None:
        with self._database.write(durable=True) as connection:
            for watch in changed:
                _write_watch(connection, watch)
                fact = {
                    "site_id": watch.site_id,
                    "state": "silent" if watch.state is SiteState.SILENT else "back",
                    "since_s": (now - watch.since).total_seconds(),
                    "cause": watch.cause.value,
                }
                outbox.append(connection, TOPIC_SITE_LINK, fact, created_at_s=now.timestamp())
            outbox.write_cursor(connection, CONSUMER, self._cursor)
        for watch in changed:
            if watch.state is SiteState.SILENT:
                log.warning("site_silent", site=watch.site_id, reason=watch.cause.value)
            else:
                log.info("site_back", site=watch.site_id)

    def _learn(self, heard: set[str], now: datetime) -> None:
        """Count the quarter of an hour that ended, if all of it was watched."""
        quarter = quarter_of(now)
        if quarter != self._quarter:
            has_followed = self._quarter is not None and quarter - self._quarter == timedelta(seconds=QUARTER_S)
            if has_followed and self._is_whole_quarter and self._quarter is not None:
                for watch in self._watches.values():
                    if watch.state is SiteState.HEARD:
                        habit = self._habits.get(watch.site_id, Habit())
                        self._habits[watch.site_id] = habit.learned(
                            self._quarter, self._zone, was_active=watch.site_id in self._active
                        )
                        self._unwritten.add(watch.site_id)
            self._quarter, self._is_whole_quarter, self._active = quarter, has_followed, set()
        self._active |= heard

    def _keep(self, now_s: float) -> None:
        with self._database.write() as connection:
            for watch in self._watches.values():
                _write_watch(connection, watch)
            for site_id in self._unwritten:
                _write_habit(connection, site_id, self._habits[site_id])
            outbox.write_cursor(connection, CONSUMER, self._cursor)
        self._unwritten = set()
        self._kept_at_s = now_s


def read_watches(connection: Connection) -> list[Watch]:
    """Return what is kept of all sites."""
    return [
        Watch(
            site_id=row.site_id,
            since=instant_of_us(row.since_us),
            state=SiteState(row.state),
            cause=Cause(row.cause),
            heard_at=instant_of_us_or_none(row.heard_at_us),
            quiet_s=row.quiet_s,
            surprise=row.surprise,
        )
        for row in connection.execute(select(site_watch).order_by(site_watch.c.site_id))
    ]


def _write_watch(connection: Connection, watch: Watch) -> None:
    connection.execute(delete(site_watch).where(site_watch.c.site_id == watch.site_id))
    connection.execute(
        insert(site_watch).values(
            site_id=watch.site_id,
            state=watch.state.value,
            since_us=microseconds(watch.since),
            cause=watch.cause.value,
            heard_at_us=microseconds_or_none(watch.heard_at),
            quiet_s=watch.quiet_s,
            surprise=watch.surprise,
        )
    )


def _read_habits(connection: Connection) -> dict[str, Habit]:
    cells: dict[str, dict[tuple[int, int], tuple[float, float]]] = {}
    for row in connection.execute(select(site_habit)):
        cells.setdefault(row.site_id, {})[row.weekday, row.hour] = (row.quarters, row.active)
    return {site_id: Habit(cells=MappingProxyType(of_site)) for site_id, of_site in cells.items()}


def _write_habit(connection: Connection, site_id: str, habit: Habit) -> None:
    connection.execute(delete(site_habit).where(site_habit.c.site_id == site_id))
    rows = [
        {"site_id": site_id, "weekday": weekday, "hour": hour, "quarters": quarters, "active": active}
        for (weekday, hour), (quarters, active) in sorted(habit.cells.items())
    ]
    if rows:
        connection.execute(insert(site_habit), rows)
