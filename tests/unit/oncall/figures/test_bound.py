"""The bound: never below what a schedule reaches, and not above what the hours allow."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nights.baselines import fifo, simple_rules
from oncall.figures.bound import Chair, chairs, in_time_max
from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import ArrivedCase, Night, NightCase, draw_night
from oncall.simulation.night import BackupDuty, Staffing, simulate

ALWAYS = Chair(from_min=1110.0, until_min=1e9, may_finish=True)


def night(*cases: tuple[float, float]) -> Night:
    """Cases by arrival and length, minutes."""
    return Night(
        name="test",
        cases=tuple(
            NightCase(
                arrived=ArrivedCase(
                    case_id=f"c{number}",
                    ready_min=Decimal(str(ready_min)),
                    site="H",
                    urgency=Urgency.P2,
                    exam=ExamKind.HEAD,
                ),
                read_min=Decimal(str(read_min)),
            )
            for number, (ready_min, read_min) in enumerate(cases)
        ),
    )


@pytest.mark.parametrize(
    ("cases", "capacity", "possible"),
    [
        pytest.param([(1200, 60)], [ALWAYS], 1, id="exactly_an_hour"),
        pytest.param([(1200, 61)], [ALWAYS], 0, id="longer_than_an_hour"),
        pytest.param([(1200, 40), (1200, 40)], [ALWAYS], 1, id="one_reader_for_two"),
        pytest.param([(1200, 40), (1200, 40)], [ALWAYS, ALWAYS], 2, id="two_readers_for_two"),
        pytest.param([(1200, 40), (1210, 20)], [ALWAYS], 2, id="one_after_the_other"),
        pytest.param([(1200, 55), (1205, 50), (1220, 5)], [ALWAYS], 2, id="broken_off_for_a_short_one"),
        pytest.param([(1200, 30)], [], 0, id="nobody"),
    ],
)
def test_what_is_possible(cases: list[tuple[float, float]], capacity: list[Chair], possible: int) -> None:
    assert in_time_max(night(*cases), capacity) == possible


def test_two_readers_cannot_read_one_case_at_the_same_time() -> None:
    late = Chair(from_min=1230.0, until_min=1e9, may_finish=True)

    assert in_time_max(night((1200, 40)), [late, late]) == 0


def test_who_leaves_finishes_one_case_and_no_more() -> None:
    leaving = Chair(from_min=1110.0, until_min=1470.0, may_finish=True)

    assert in_time_max(night((1465, 30)), [leaving]) == 1
    assert in_time_max(night((1465, 30), (1465, 20)), [leaving]) == 1
    assert in_time_max(night((1471, 5)), [leaving]) == 0


def test_a_backup_is_capacity_from_arrival_to_release_only() -> None:
    backup = BackupDuty(
        reader="backup-1", called_min=Decimal(1185), arrived_min=Decimal(1200), released_min=Decimal(1260)
    )
    with_backup = chairs(Staffing(evening=1, deep_night=1), [backup])

    assert in_time_max(night((1200, 50), (1200, 50)), with_backup) == 2
    assert in_time_max(night((1230, 50), (1230, 50)), with_backup) == 1


@settings(max_examples=40, deadline=None)
@given(
    cases=st.lists(
        st.tuples(st.integers(1430, 1500), st.integers(1, 45)),
        min_size=1,
        max_size=5,
    ),
    staffing=st.builds(Staffing, evening=st.integers(1, 2), deep_night=st.integers(1, 2)),
)
def test_no_order_of_reading_exceeds_it(cases: list[tuple[int, int]], staffing: Staffing) -> None:
    best = max(_in_time(order, staffing) for order in permutations(cases))

    assert best <= in_time_max(night(*cases), chairs(staffing, ())) <= len(cases)


def _in_time(order: tuple[tuple[int, int], ...], staffing: Staffing) -> int:
    """Count what is in time when cases are given in this order to whoever can begin first."""
    free = {duty: int(duty.from_min) for duty in staffing.duties()}
    in_time = 0
    for ready_min, read_min in order:
        begins = {duty: max(free_min, ready_min) for duty, free_min in free.items()}
        able = [duty for duty in free if begins[duty] < duty.until_min]
        duty = min(able, key=lambda duty: begins[duty])
        free[duty] = begins[duty] + read_min
        in_time += free[duty] - ready_min <= 60
    return in_time


@pytest.mark.parametrize("volume", [60, 110])
@pytest.mark.parametrize("seed", [1000, 1001])
def test_pools_stay_below_it_and_more_hours_raise_it(volume: int, seed: int) -> None:
    drawn, staffing = draw_night(seed, volume), Staffing(evening=3, deep_night=2)
    ready = {case.arrived.case_id: case.arrived.ready_min for case in drawn.cases}
    bounds = []
    for pool in (fifo(), simple_rules(staffing)):
        result = simulate(drawn, staffing, pool)
        bounds.append(in_time_max(drawn, chairs(staffing, result.backups)))
        assert sum(o.done_min - ready[o.case_id] <= 60 for o in result.outcomes) <= bounds[-1]

    assert bounds[0] <= bounds[1]
    assert in_time_max(drawn, [ALWAYS] * 100) == sum(case.read_min <= 60 for case in drawn.cases)
