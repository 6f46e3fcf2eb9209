"""Whether a hospital that should be sending has gone silent: pure steps over watched time.

A site is silent when it sent no image for as long as its settings allow, or for so long that by its habits it is
unlikely; or when none of its machines answers C-ECHO any more. It is back with the next image, or, when only its link
was down, with answers to C-ECHO.

Not for: what came from whom, probes and rows (`pacs.routing.watch`).

Invariants
----------
* Only time in which we listened counts: not that before a start, nor that by which somebody sets a clock; and of a
  configured site only its hours, by the wall clock of its zone.
* One lost C-ECHO is no link that is down, and one answered is none that is back.
* What happens while a site is silent is not learned as its habit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs.routing.hours import ALWAYS, Hours

QUARTER_S: Final = 900.0
"""Habits are counted in quarters of an hour: fine enough for a busy site, coarse enough that studies are one event."""

FADE: Final = 0.98
"""By how much an observation fades with each one after it: some twelve weeks of a weekday's hour weigh something."""

QUARTERS_MIN: Final = 8.0
"""Observations of a weekday's hour before it says anything: two weeks."""

CHANCE_MAX: Final = 0.95
"""No hour is so certain that two silent quarters would be an alarm."""

SURPRISE_MIN: Final = math.log(10_000)
"""A silence that would come once in ten thousand times is told; quarters are taken for independent of each other."""

LEARNED_QUIET_S_MIN: Final = 1800.0
"""However busy a site is, a shorter pause is none by what was learned."""

LINK_DOWN_S_MIN: Final = 120.0
"""From the first C-ECHO that nobody answered until it is told: images until then may have been on their way."""

DOWN_AFTER: Final = 3
"""C-ECHO in a row without an answer until a link is down."""

UP_AFTER: Final = 2
"""C-ECHO in a row with an answer until it is up again."""


class SiteState(StrEnum):
    """How a site is."""

    HEARD = "heard"
    SILENT = "silent"


class Cause(StrEnum):
    """Why a site is silent."""

    NONE = ""
    QUIET = "quiet"  # no images
    LINK = "link"  # nobody there answers C-ECHO


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchPlan:
    """How a site is watched; without ``silent_after_s`` by its habits."""

    site_id: str
    silent_after_s: float | None = None
    hours: Hours = ALWAYS
    echo_peers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What C-ECHO says of one machine; ``down_since`` is the first of the failures that made it so."""

    failures: int = 0
    successes: int = 0
    failing_since: datetime | None = None
    down_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What is known of a site.

    Attributes
    ----------
    quiet_s : float
        Watched time without an image.
    surprise : float
        How unlikely that is by its habits: the natural logarithm of the chance, negated.
    """

    site_id: str
    since: datetime
    state: SiteState = SiteState.HEARD
    cause: Cause = Cause.NONE
    heard_at: datetime | None = None
    quiet_s: float = 0.0
    surprise: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Habit:
    """How often quarters of an hour had an image, by local weekday (Monday 0) and hour: (observed, with an image)."""

    cells: Mapping[tuple[int, int], tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))

    def chance(self, instant: datetime, zone: tzinfo) -> float:
        """Return how likely an image is in a quarter of an hour at an instant; 0 when that is not known yet."""
        quarters, active = self.cells.get(cell_of(instant, zone), (0.0, 0.0))
        return 0.0 if quarters < QUARTERS_MIN else min(active / quarters, CHANCE_MAX)

    def learned(self, instant: datetime, zone: tzinfo, *, was_active: bool) -> "Habit":
        """Return the habit after one more quarter of an hour that began at an instant."""
        cell = cell_of(instant, zone)
        quarters, active = self.cells.get(cell, (0.0, 0.0))
        after = (quarters * FADE + 1.0, active * FADE + float(was_active))
        return Habit(cells=MappingProxyType({**self.cells, cell: after}))


def cell_of(instant: datetime, zone: tzinfo) -> tuple[int, int]:
    """Return local weekday and hour of an instant (aware)."""
    wall = instant.astimezone(zone)
    return wall.weekday(), wall.hour


def quarter_of(instant: datetime) -> datetime:
    """Return the beginning of the quarter of an hour that an instant is in (UTC)."""
    return instant - timedelta(minutes=instant.minute % 15, seconds=instant.second, microseconds=instant.microsecond)


def probed(link: Link, now: datetime, *, has_answered: bool) -> Link:
    """Return what is so of a machine after one more C-ECHO."""
    if has_answered:
        successes = link.successes + 1
        down_since = None if successes >= UP_AFTER else link.down_since
        return Link(successes=successes, down_since=down_since)
    failures = link.failures + 1
    failing_since = link.failing_since or now
    down_since = link.down_since or (failing_since if failures >= DOWN_AFTER else None)
    return Link(failures=failures, failing_since=failing_since, down_since=down_since)


def link_down_since(links: Sequence[Link]) -> datetime | None:
    """Return since when no machine of a site answers; None when one does, or none is asked."""
    downs = [link.down_since for link in links]
    known = [down for down in downs if down is not None]
    return max(known) if known and len(known) == len(downs) else None


def listened(
    watch: Watch, plan: WatchPlan, habit: Habit, now: datetime,
    *, zone: tzinfo, passed_s: float, has_heard: bool, link_down: datetime | None,
) -> tuple[Watch, bool]:  # fmt: skip
    """Return what is so of a site after some more watched time, and whether that is to be told.

    Parameters
    ----------
    passed_s : float
        Watched time since the step before, in seconds, by a clock that nobody sets.
    has_heard : bool
        Whether images came in it.
    link_down : datetime or None
        Since when no machine of the site answers C-ECHO.
    """
    if has_heard:
        watch = replace(watch, heard_at=now, quiet_s=0.0, surprise=0.0)
    elif plan.hours.contains(now, zone):
        per_quarter = -math.log(1.0 - habit.chance(now, zone))
        watch = replace(
            watch,
            quiet_s=watch.quiet_s + passed_s,
            surprise=watch.surprise + per_quarter * passed_s / QUARTER_S,
        )
    is_down = link_down is not None and _is_link_down(watch, link_down, now)
    if watch.state is SiteState.SILENT:
        is_back = has_heard or (watch.cause is Cause.LINK and not is_down)
        if not is_back:
            return watch, False
        back = replace(watch, state=SiteState.HEARD, cause=Cause.NONE, since=now, quiet_s=0.0, surprise=0.0)
        return back, True
    if is_down:
        return replace(watch, state=SiteState.SILENT, cause=Cause.LINK, since=link_down or now), True
    if _is_too_quiet(watch, plan):
        since = watch.heard_at or now - timedelta(seconds=watch.quiet_s)
        return replace(watch, state=SiteState.SILENT, cause=Cause.QUIET, since=since), True
    return watch, False


def _is_link_down(watch: Watch, link_down: datetime, now: datetime) -> bool:
    """Say whether silence of all machines is that of the link: images that come well after it prove the contrary.

    One machine is switched off, another one sends: then until the first has answered again only images count.
    """
    proof_at = link_down + timedelta(seconds=LINK_DOWN_S_MIN)
    return now >= proof_at and (watch.heard_at is None or watch.heard_at < proof_at)


def _is_too_quiet(watch: Watch, plan: WatchPlan) -> bool:
    if plan.silent_after_s is not None:
        return watch.quiet_s >= plan.silent_after_s
    return watch.surprise >= SURPRISE_MIN and watch.quiet_s >= LEARNED_QUIET_S_MIN
