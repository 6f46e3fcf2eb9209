"""When a hospital is silent: watched time only, its hours, its habits, its link; and no flapping."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.routing.hours import parse_hours
from pacs.routing.watchdog import (
    DOWN_AFTER,
    UP_AFTER,
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

PARIS = ZoneInfo("Europe/Paris")
START = datetime(2026, 7, 16, 8, 0, tzinfo=UTC)
TWO_HOURS = WatchPlan(site_id="north", silent_after_s=7200.0)
BY_HABIT = WatchPlan(site_id="north")
STEP = timedelta(minutes=5)


class Site:
    """A site on a virtual clock; what was told of it."""

    def __init__(self, plan: WatchPlan, *, habit: Habit | None = None, start: datetime = START) -> None:
        self.plan = plan
        self.habit = habit or Habit()
        self.now = start
        self.watch = Watch(site_id=plan.site_id, since=start)
        self.link_down: datetime | None = None
        self.told: list[tuple[SiteState, Cause, datetime, datetime]] = []

    def listen(self, duration: timedelta, *, has_heard: bool = False, passed: timedelta | None = None) -> None:
        """Let time pass, in steps."""
        end = self.now + duration
        while self.now < end:
            self.now += STEP
            self.watch, is_news = listened(
                self.watch, self.plan, self.habit, self.now,
                zone=PARIS, passed_s=(passed or STEP).total_seconds(), has_heard=has_heard, link_down=self.link_down,
            )  # fmt: skip
            if is_news:
                self.told.append((self.watch.state, self.watch.cause, self.watch.since, self.now))


def learned(chance_by_hour: dict[int, float], *, weeks: int = 8) -> Habit:
    """Return the habit of a site that sends with these chances in each quarter of these local hours, else never."""
    habit = Habit()
    quarter = quarter_of(START) - timedelta(weeks=weeks)
    count = 0
    while quarter < START:
        chance = chance_by_hour.get(quarter.astimezone(PARIS).hour, 0.0)
        count += 1
        habit = habit.learned(quarter, PARIS, was_active=(count % 100) < chance * 100)
        quarter += timedelta(minutes=15)
    return habit


def test_a_site_is_silent_once_after_its_time_and_back_with_its_first_image() -> None:
    site = Site(TWO_HOURS)
    site.listen(timedelta(hours=1), has_heard=True)
    last_image = site.now
    site.listen(timedelta(hours=5))
    site.listen(STEP, has_heard=True)

    assert site.told == [
        (SiteState.SILENT, Cause.QUIET, last_image, last_image + timedelta(hours=2)),
        (SiteState.HEARD, Cause.NONE, site.now, site.now),
    ]


def test_a_site_that_sends_now_and_then_is_never_silent() -> None:
    site = Site(TWO_HOURS)
    for _ in range(20):
        site.listen(timedelta(minutes=115))
        site.listen(STEP, has_heard=True)

    assert site.told == []


def test_only_its_hours_count() -> None:
    day = replace(TWO_HOURS, hours=parse_hours("08:00-18:00"))
    site = Site(day, start=datetime(2026, 7, 16, 15, 0, tzinfo=UTC))
    # 17:00 in Paris: one hour is left of the day, and one of the next day makes two.
    site.listen(timedelta(hours=20))

    ((_, _, _, told_at),) = site.told
    assert told_at.astimezone(PARIS).replace(tzinfo=None) == datetime(2026, 7, 17, 9, 0)  # noqa: DTZ001  # wall time


def test_the_night_of_october_makes_nobody_silent_an_hour_too_early() -> None:
    # Summer time ends at 03:00 on 25 October: 01:30 to 02:30 by the wall clock takes two hours.
    site = Site(replace(TWO_HOURS, silent_after_s=5400.0), start=datetime(2026, 10, 24, 23, 30, tzinfo=UTC))
    site.listen(timedelta(minutes=85))
    assert site.told == []
    site.listen(timedelta(minutes=10))

    ((_, _, _, told_at),) = site.told
    assert told_at == datetime(2026, 10, 25, 1, 0, tzinfo=UTC)


def test_a_clock_that_is_set_forward_makes_nobody_silent() -> None:
    site = Site(TWO_HOURS)
    site.listen(STEP, has_heard=True)
    site.now += timedelta(hours=10)
    site.listen(timedelta(minutes=30))

    assert site.told == []


def test_a_busy_site_is_missed_within_the_hour_and_a_quiet_one_by_its_habits() -> None:
    busy = Site(BY_HABIT, habit=learned(dict.fromkeys(range(24), 0.9)))
    busy.listen(STEP, has_heard=True)
    busy.listen(timedelta(hours=12))
    rare = Site(BY_HABIT, habit=learned(dict.fromkeys(range(24), 0.1)))
    rare.listen(STEP, has_heard=True)
    rare.listen(timedelta(hours=12))

    ((_, cause, _, told_at),) = busy.told
    assert cause is Cause.QUIET
    assert timedelta(minutes=30) <= told_at - START <= timedelta(minutes=75)
    assert rare.told == [], "a site of one study in an hour or two may be quiet for a night"


def test_hours_in_which_a_site_never_sends_do_not_count() -> None:
    site = Site(BY_HABIT, habit=learned(dict.fromkeys(range(8, 18), 0.9)), start=START.replace(hour=16))
    site.listen(STEP, has_heard=True)
    site.listen(timedelta(hours=13))
    assert site.told == [], "from six in the evening to seven in the morning"
    site.listen(timedelta(hours=4))

    assert len(site.told) == 1


def test_without_two_weeks_of_habits_nobody_is_missed() -> None:
    site = Site(BY_HABIT, habit=learned(dict.fromkeys(range(24), 0.9), weeks=1))
    site.listen(timedelta(days=3))

    assert site.told == []


def test_a_link_is_down_after_three_probes_and_up_after_two() -> None:
    link = Link()
    states = []
    for number, has_answered in enumerate([False, False, True, False, False, False, True, False, True, True]):
        link = probed(link, START + number * STEP, has_answered=has_answered)
        states.append(link.down_since)

    first = START + 3 * STEP
    assert states == [None] * 5 + [first, first, first, first, None]
    assert (DOWN_AFTER, UP_AFTER) == (3, 2)


def test_a_link_is_down_only_when_no_machine_of_the_site_answers() -> None:
    down, later = Link(down_since=START), Link(down_since=START + STEP)

    assert link_down_since([]) is None
    assert link_down_since([down, Link()]) is None
    assert link_down_since([down, later]) == START + STEP


def test_a_link_that_is_down_is_told_at_once_and_its_return_too() -> None:
    site = Site(replace(TWO_HOURS, hours=parse_hours("08:00-09:00")))
    site.listen(STEP, has_heard=True)
    site.link_down = down = site.now
    site.listen(timedelta(minutes=30))
    site.link_down = None
    site.listen(timedelta(minutes=30))

    assert site.told == [
        (SiteState.SILENT, Cause.LINK, down, down + STEP),
        (SiteState.HEARD, Cause.NONE, site.told[1][2], down + timedelta(minutes=35)),
    ]


def test_images_that_were_on_their_way_when_the_link_broke_prove_nothing() -> None:
    site = Site(TWO_HOURS)
    site.link_down = site.now + STEP - timedelta(seconds=60)
    site.listen(STEP, has_heard=True)
    assert site.told == []
    site.listen(STEP)

    assert [cause for _, cause, _, _ in site.told] == [Cause.LINK]


def test_images_prove_a_link_that_nobody_answers_on() -> None:
    site = Site(TWO_HOURS)
    site.link_down = START
    site.listen(timedelta(minutes=10))
    site.listen(STEP, has_heard=True)
    site.listen(timedelta(hours=1))

    assert [state for state, _, _, _ in site.told] == [SiteState.SILENT, SiteState.HEARD]


def test_a_site_that_was_silent_by_itself_is_not_back_because_its_link_is() -> None:
    site = Site(TWO_HOURS)
    site.listen(timedelta(hours=3))
    site.link_down = site.now
    site.listen(timedelta(hours=1))
    site.link_down = None
    site.listen(timedelta(hours=1))

    assert [(state, cause) for state, cause, _, _ in site.told] == [(SiteState.SILENT, Cause.QUIET)]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=150))
def test_what_is_told_alternates_and_silence_is_never_told_with_an_image(steps: list[tuple[bool, bool]]) -> None:
    site = Site(TWO_HOURS)
    for has_heard, is_down in steps:
        site.link_down = site.link_down or site.now if is_down else None
        before = len(site.told)
        site.listen(STEP, has_heard=has_heard)
        if has_heard:
            assert all(state is SiteState.HEARD for state, _, _, _ in site.told[before:])

    states = [state for state, _, _, _ in site.told]
    assert states == ([SiteState.SILENT, SiteState.HEARD] * len(states))[: len(states)]


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001  # made aware below
def test_quarters_begin_at_full_quarters_of_an_hour(wall: datetime) -> None:
    instant = wall.replace(tzinfo=UTC)
    quarter = quarter_of(instant)

    assert quarter <= instant < quarter + timedelta(minutes=15)
    assert (quarter.minute % 15, quarter.second, quarter.microsecond) == (0, 0, 0)
