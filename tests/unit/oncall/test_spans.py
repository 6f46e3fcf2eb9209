"""Arithmetic on sets of spans: what the roster, its gaps and its rests are made of."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.spans import Span, gaps, subtract, total, union

ZERO = datetime(2026, 3, 29, tzinfo=UTC)
HOURS = 48


def span(start_h: int, end_h: int) -> Span:
    return Span(start=ZERO + timedelta(hours=start_h), end=ZERO + timedelta(hours=end_h))


spans = st.lists(
    st.tuples(st.integers(0, HOURS), st.integers(0, HOURS))
    .filter(lambda ends: ends[0] < ends[1])
    .map(lambda e: span(*e)),
    max_size=8,
)


def hours_of(covered: list[Span]) -> set[int]:
    return {hour for hour in range(HOURS) if any(ZERO + timedelta(hours=hour) in one for one in covered)}


def test_a_span_is_kept_in_utc_so_that_its_length_is_elapsed_time() -> None:
    paris = ZoneInfo("Europe/Paris")
    night = Span(start=datetime(2026, 10, 24, 18, 30, tzinfo=paris), end=datetime(2026, 10, 25, 8, 30, tzinfo=paris))

    assert night.start.tzinfo is UTC
    assert night.hours == 15


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(datetime(2026, 1, 1), ZERO, id="naive start"),  # noqa: DTZ001  # what is refused
        pytest.param(ZERO, datetime(2027, 1, 1), id="naive end"),  # noqa: DTZ001  # what is refused
        pytest.param(ZERO, ZERO, id="empty"),
        pytest.param(ZERO, ZERO - timedelta(seconds=1), id="backwards"),
        pytest.param(ZERO, datetime(2026, 3, 29, 1, tzinfo=timezone(timedelta(hours=1))), id="empty in other offsets"),
    ],
)
def test_a_span_that_is_no_span_cannot_be_built(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="span"):
        Span(start=start, end=end)


def test_a_span_has_its_start_and_not_its_end() -> None:
    one = span(1, 2)

    assert one.start in one
    assert one.end not in one
    assert not one.overlaps(span(2, 3))
    assert one.intersection(span(2, 3)) is None


@given(spans)
def test_a_union_has_the_same_instants_in_spans_that_do_not_touch(many: list[Span]) -> None:
    merged = union(many)

    assert hours_of(merged) == hours_of(many)
    assert all(one.end < other.start for one, other in pairwise(merged))
    assert total(many) == timedelta(hours=len(hours_of(many)))


@given(spans, spans)
def test_what_is_subtracted_is_gone_and_nothing_else(many: list[Span], removed: list[Span]) -> None:
    assert hours_of(subtract(many, removed)) == hours_of(many) - hours_of(removed)


@given(spans)
def test_gaps_are_what_nothing_covers(covered: list[Span]) -> None:
    within = span(0, HOURS)

    assert hours_of(gaps(within, covered)) == set(range(HOURS)) - hours_of(covered)
