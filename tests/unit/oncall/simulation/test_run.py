"""The reading code in a simulated night: it sees the present only, and decides the same every time."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from oncall.reading.policy import DEFAULT
from oncall.simulation.arrivals import Night, NightCase, draw_night
from oncall.simulation.engine_run import EngineOnCall
from oncall.simulation.night import NightResult, Staffing, simulate
from oncall.simulation.run import ReadingOnCall
from oncall.simulation.staff import at_min, at_s, instant

STAFFING = Staffing(evening=3, deep_night=2)


def read(night: Night) -> tuple[NightResult, ReadingOnCall]:
    sites = {case.arrived.site for case in night.cases}
    engine = ReadingOnCall(STAFFING, sites, DEFAULT)
    return simulate(night, STAFFING, engine), engine


@pytest.mark.parametrize("minutes", ["1110", "1110.001", "1949.999", "1470.5"])
def test_times_of_the_night_survive_the_board(minutes: str) -> None:
    assert at_min(at_s(Decimal(minutes))) == pytest.approx(Decimal(minutes), abs=Decimal("1e-7"))


def test_the_same_night_gives_the_same_decisions() -> None:
    night = draw_night(1003, 100)
    first, first_engine = read(night)
    second, second_engine = read(night)

    assert first == second
    assert first_engine.decisions == second_engine.decisions
    assert first_engine.forecasts == second_engine.forecasts


@pytest.mark.parametrize(("seed", "volume"), [(1001, 100), (1005, 120)])
def test_the_whole_engine_decides_what_its_reading_code_decides(seed: int, volume: int) -> None:
    night = draw_night(seed, volume)
    engine = EngineOnCall(STAFFING, {case.arrived.site for case in night.cases}, DEFAULT)

    result = simulate(night, STAFFING, engine)

    assert result == read(night)[0]
    assert result.backups, "a night without a call shows less"
    assert not engine.engine.open_cases(instant(Decimal(3000)))


def test_the_log_of_a_night_is_the_same_in_every_replay() -> None:
    night = draw_night(1002, 80)
    logs = []
    for _ in range(2):
        engine = EngineOnCall(STAFFING, {case.arrived.site for case in night.cases}, DEFAULT)
        simulate(night, STAFFING, engine)
        logs.append(engine.store.log)

    assert len(logs[0]) > 10 * len(night.cases)
    assert logs[0] == logs[1]


def test_a_case_has_an_hour_from_its_images_and_every_case_is_given_to_somebody() -> None:
    night = draw_night(1000, 60)
    _, engine = read(night)
    ready_s = {case.arrived.case_id: at_s(case.arrived.ready_min) for case in night.cases}

    assert {decision.case_id for decision in engine.decisions} == set(ready_s)
    for decision in engine.decisions:
        assert decision.deadline_at_s == ready_s[decision.case_id] + 3600


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
@pytest.mark.parametrize("from_min", [1200, 1350, 1500])
def test_other_true_times_of_what_is_not_read_yet_change_no_earlier_decision(seed: int, from_min: int) -> None:
    night = draw_night(seed, 110)
    result, engine = read(night)
    signed_later = {outcome.case_id for outcome in result.outcomes if outcome.done_min > from_min}
    dice = random.Random(seed)
    times = [case.read_min for case in night.cases if case.arrived.case_id in signed_later]
    dice.shuffle(times)
    shuffled = iter(times)
    changed = Night(
        name="shuffled",
        cases=tuple(
            _at_least(case, next(shuffled), result, from_min) if case.arrived.case_id in signed_later else case
            for case in night.cases
        ),
    )

    other, other_engine = read(changed)

    def before(result: NightResult) -> dict[str, tuple[str, Decimal]]:
        return {o.case_id: (o.reader, o.start_min) for o in result.outcomes if o.start_min < from_min}

    limit_s = at_s(Decimal(from_min))
    assert before(other) == before(result)
    assert [each for each in other_engine.decisions if each.at_s < limit_s] == [
        each for each in engine.decisions if each.at_s < limit_s
    ]
    assert [each for each in other_engine.forecasts if each.at_s < limit_s] == [
        each for each in engine.forecasts if each.at_s < limit_s
    ]
    assert other != result, "shuffling changed nothing at all: the test shows nothing"


def _at_least(case: NightCase, read_min: Decimal, result: NightResult, from_min: int) -> NightCase:
    """Give a case another time; one that is being read at `from_min` is still being read then."""
    outcome = next(o for o in result.outcomes if o.case_id == case.arrived.case_id)
    if outcome.start_min < from_min:
        read_min = max(read_min, from_min - outcome.start_min)
    return replace(case, read_min=read_min)
