"""Figures of a span: exact percentiles, nothing hidden, and no percentage of a handful."""

import csv
import io
import json
import math
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.errors import Refused
from oncall.directory import SiteId
from oncall.figures.documents import CSV_COLUMNS, csv_text, to_json
from oncall.figures.row import Cause, Outcome
from oncall.figures.summary import FigureQuery, Share, Summary, distribution, summary
from tests.unit.oncall.figures.night_rows import MINUTE_US, NOVEMBER, NOW, put, row


def november(**changes: Any) -> FigureQuery:
    return FigureQuery(**{"since": NOVEMBER[0], "until": NOVEMBER[1], **changes})


def figures(database: Database, causes: dict[str, Cause] | None = None, **changes: Any) -> Summary:
    with database.read() as connection:
        return summary(connection, november(**changes), NOW, causes=causes)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_percentiles_are_observed_values_by_nearest_rank(values: list[int]) -> None:
    found = distribution(np.array(values, dtype=np.int64))

    ordered = sorted(values)
    for percent, value in ((50, found.median_s), (95, found.p95_s), (99, found.p99_s)):
        assert value == ordered[math.ceil(percent * len(ordered) / 100) - 1] / 1e6
    assert (found.n, found.max_s) == (len(values), ordered[-1] / 1e6)


def test_the_hour_is_of_what_is_decided_and_an_overdue_case_is_not_hidden(database: Database) -> None:
    put(database, *(row(number, 20 + number) for number in range(20)))
    put(database, row(50, 61), row(51, None), row(52, None, c4_due_us=10**18))

    hour = figures(database).hour

    # 20 in time, one late, one overdue; the one whose hour still runs is not decided.
    assert hour.in_time == Share(count=20, of=22)
    assert dict(hour.breaches) == {Cause.WAITING: 2}
    assert hour.elapsed.n == 21
    assert (hour.elapsed.median_s, hour.elapsed.max_s) == (30 * 60, 61 * 60)


def test_merged_and_moved_cases_are_listed_and_measured_nowhere(on_disk: Database) -> None:
    put(on_disk, row(1, 20), row(2, None, outcome="merged", running_clocks=0), row(3, None, outcome="moved"))

    found = figures(on_disk)

    assert dict(found.outcomes) == {Outcome.MERGED: 1, Outcome.MOVED: 1, Outcome.REPORTED: 1}
    assert (found.cases, found.hour.in_time, found.clocks[3].running) == (3, Share(count=1, of=1), 0)


def test_what_the_clairvoyant_said_counts_before_what_the_case_tells(on_disk: Database) -> None:
    put(on_disk, row(1, 80), row(2, 90), row(3, 70, cause="silence"))

    found = figures(on_disk, {"case-0001": Cause.CAPACITY})

    assert dict(found.hour.breaches) == {Cause.CAPACITY: 1, Cause.SILENCE: 1, Cause.WAITING: 1}


def test_the_worst_hospital_is_one_with_enough_cases(on_disk: Database) -> None:
    put(on_disk, *(row(number, 90 if number < 3 else 20, site_id="bigger") for number in range(12)))
    put(on_disk, *(row(100 + number, 20, site_id="biggest") for number in range(30)))
    put(on_disk, row(200, 90, site_id="smallest"))

    hour = figures(on_disk).hour

    assert (hour.worst_site, hour.worst_site_in_time) == ("bigger", Share(count=9, of=12))


def test_a_share_of_few_cases_is_no_percentage() -> None:
    assert Share(count=1, of=9).share is None
    assert Share(count=5, of=10).share == 0.5


def test_a_span_without_cases_says_so_and_has_no_zero_that_looks_like_success(on_disk: Database) -> None:
    put(on_disk, row(1, 20))

    found = figures(on_disk, since=NOVEMBER[1], until=NOVEMBER[1] + timedelta(days=31))
    told = to_json(found)

    assert found.is_empty
    assert (told["is_empty"], told["hour"], told["clocks"]) == (True, None, [])
    assert csv_text(found).splitlines() == [",".join(CSV_COLUMNS)]


def test_the_first_instant_of_a_span_is_in_it_and_the_last_is_not(on_disk: Database) -> None:
    one = row(1, 20)
    put(on_disk, one)
    images = NOVEMBER[0].fromtimestamp(one.counted_at_us / 1e6, NOW.tzinfo)

    assert figures(on_disk, since=images).cases == 1
    assert figures(on_disk, until=images).cases == 0


def test_p1_is_told_by_its_wait_and_its_first_finding(on_disk: Database) -> None:
    first = row(1, 30, urgency=1, wait_us=4 * MINUTE_US)
    told = row(2, 30, urgency=1, wait_us=8 * MINUTE_US)
    other = row(3, 30, wait_us=50 * MINUTE_US)
    assert told.images_at_us is not None
    put(
        on_disk,
        first,
        other,
        row(2, 30, urgency=1, wait_us=8 * MINUTE_US, finding_at_us=told.images_at_us + MINUTE_US),
    )

    hour = figures(on_disk).hour

    assert (hour.p1_wait.n, hour.p1_wait.median_s, hour.p1_wait.max_s) == (2, 240, 480)
    assert (hour.p1_finding.n, hour.p1_finding.max_s) == (1, 60)


def test_groups_are_told_by_every_dimension_and_readers_only_to_who_may_see_them(on_disk: Database) -> None:
    put(on_disk, row(1, 20), row(2, 80, site_id="sud", urgency=1, period="deep_night", reader_id="bruno"))

    open_to_all, to_planner = figures(on_disk), figures(on_disk, shows_readers=True)

    assert set(open_to_all.groups) == {"site", "class", "period", "provider"}
    assert "bruno" not in json.dumps(to_json(open_to_all))
    assert [group.key for group in to_planner.groups["reader"]] == ["anne", "bruno"]
    assert [group.key for group in to_planner.groups["class"]] == ["P1", "P2"]
    assert [group.key for group in to_planner.groups["period"]] == ["deep_night", "evening"]
    assert to_planner.groups["site"][1].hour.in_time == Share(count=0, of=1)


def test_figures_can_be_of_some_hospitals_only(on_disk: Database) -> None:
    put(on_disk, row(1, 20), row(2, 80, site_id="sud"))

    assert figures(on_disk, sites=frozenset({SiteId("sud")})).hour.in_time == Share(count=0, of=1)


def test_the_table_has_the_share_only_beside_what_it_is_never_told_without(on_disk: Database) -> None:
    dice = Random(1)
    put(on_disk, *(row(n, dice.uniform(5, 100), urgency=1, wait_us=MINUTE_US * n) for n in range(40)))

    rows = list(csv.DictReader(io.StringIO(csv_text(figures(on_disk)))))

    with_share = [one for one in rows if one["in_time"]]
    assert {one["clock"] for one in with_share} == {"C4"}
    for name in ("p95_s", "p99_s", "max_s", "p1_wait_p95_s", "worst_site", "decided"):
        assert all(one[name] for one in with_share)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"until": NOVEMBER[0]}, "end comes after"), ({"by": ("patient",)}, "not told by patient")],
)
def test_a_question_that_makes_no_sense_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        november(**changes)
