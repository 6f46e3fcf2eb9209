"""Nights in which something goes wrong: nobody is forgotten, and what is lost is read again from its beginning."""

from decimal import Decimal

import pytest

from oncall.case.vocabulary import EventType
from oncall.reading.board import Urgency
from oncall.reading.policy import DEFAULT
from oncall.simulation.arrivals import NIGHT_ENDS_MIN, Night, draw_night
from oncall.simulation.engine_run import EngineOnCall
from oncall.simulation.night import NightResult, Staffing, simulate
from oncall.simulation.perturbations import WAKES_AFTER_MIN, DropOut, Silence, with_burst, with_site_cut_off

STAFFING = Staffing(evening=3, deep_night=2)


def engine_for(night: Night, silence: Silence | None = None) -> EngineOnCall:
    sites = {case.arrived.site for case in night.cases}
    if silence is None:
        return EngineOnCall(STAFFING, sites, DEFAULT)
    return EngineOnCall(STAFFING, sites, DEFAULT, answers=silence.hears)


def waits(night: Night, result: NightResult, from_min: int) -> list[float]:
    """Minutes from images to opening of the cases that came after `from_min`."""
    return [
        float(outcome.start_min - case.arrived.ready_min)
        for case, outcome in zip(night.cases, result.outcomes, strict=True)
        if case.arrived.ready_min >= from_min
    ]


def test_a_reader_dozes_only_in_the_deep_night_and_only_without_work() -> None:
    silence = Silence(seed=1)
    silence.worked("a", Decimal(1400))

    assert not silence.is_dozing("a", Decimal(1469))
    assert silence.is_dozing("a", Decimal(1470))
    silence.worked("a", Decimal(1480))
    assert not silence.is_dozing("a", Decimal(1499))
    assert silence.is_dozing("a", Decimal(1500))


def test_who_does_not_hear_a_page_wakes_by_themselves_and_may_hear_the_next() -> None:
    deaf = Silence(seed=1, unheard=1.0)
    deaf.worked("a", Decimal(1470))

    assert not deaf.hears("a", Decimal(1600))
    assert not deaf.hears("a", Decimal(1610))
    assert deaf.is_dozing("a", Decimal("1624.9"))
    assert not deaf.is_dozing("a", Decimal(1625))

    heard = [Silence(seed=seed).hears("a", Decimal(1600)) for seed in range(500)]
    assert all(heard), "who was never seen to be idle does not doze"


@pytest.mark.parametrize("seed", [1000, 1001])
def test_silence_is_escalated_and_every_case_is_read(seed: int) -> None:
    night = draw_night(seed, 70)
    silence = Silence(seed=seed, unheard=0.5)
    engine = engine_for(night, silence)

    result = simulate(night, STAFFING, engine, silence=silence)

    types = [event.type for _, event in engine.store.log]
    assert EventType.ASSIGN_TIMEOUT in types, "nobody was silent: the test shows nothing"
    # After the silence of one another was asked; nobody waited until somebody happened to wake up.
    assert EventType.ASSIGN_REASSIGNED in types
    assert max(waits(night, result, 1500)) < float(WAKES_AFTER_MIN)


def test_the_case_of_a_reader_who_is_lost_is_read_by_another_from_its_beginning() -> None:
    night = draw_night(1001, 80)
    undisturbed = simulate(night, STAFFING, engine_for(night))
    interrupted = next(
        outcome for outcome in undisturbed.outcomes if outcome.reader == "reader-2" and outcome.start_min > 1300
    )
    at_min = interrupted.start_min + Decimal("0.5")

    result = simulate(night, STAFFING, engine_for(night), drop_outs=[DropOut(person="reader-2", at_min=at_min)])

    again = next(outcome for outcome in result.outcomes if outcome.case_id == interrupted.case_id)
    assert again.reader != "reader-2"
    assert again.start_min >= at_min
    assert again.done_min - again.start_min == interrupted.done_min - interrupted.start_min
    assert all(outcome.done_min <= at_min for outcome in result.outcomes if outcome.reader == "reader-2")


def test_a_burst_of_casualties_calls_backups_and_is_read_before_what_can_wait() -> None:
    night = with_burst(draw_night(1003, 60), seed=3, at_min=Decimal(1300), casualties=15)

    result = simulate(night, STAFFING, engine_for(night))

    by_class: dict[bool, list[float]] = {True: [], False: []}
    for case, outcome in zip(night.cases, result.outcomes, strict=True):
        if 1300 <= case.arrived.ready_min < 1400:
            by_class[case.arrived.urgency is Urgency.P1].append(float(outcome.start_min - case.arrived.ready_min))
    assert result.backups
    assert sum(by_class[True]) / len(by_class[True]) < sum(by_class[False]) / len(by_class[False])


def test_a_burst_has_its_casualties_in_the_hour_after_it_and_none_after_the_night() -> None:
    night = draw_night(1003, 60)
    late = with_burst(night, seed=3, at_min=Decimal(1940), casualties=20)

    added = late.cases[len(night.cases) :]
    assert late.cases[: len(night.cases)] == night.cases
    assert len(added) == 20
    assert all(1940 <= case.arrived.ready_min <= NIGHT_ENDS_MIN for case in added)


def test_a_hospital_that_is_cut_off_has_its_hour_from_when_its_images_are_complete() -> None:
    night = draw_night(1002, 80)
    cut_off = with_site_cut_off(night, site="H01", from_min=Decimal(1200), until_min=Decimal(1300))
    moved = [(before, after) for before, after in zip(night.cases, cut_off.cases, strict=True) if before != after]

    result = simulate(cut_off, STAFFING, engine_for(cut_off))

    assert moved
    assert all(before.arrived.site == "H01" and after.arrived.ready_min == 1300 for before, after in moved)
    assert all(
        outcome.start_min >= case.arrived.ready_min
        for case, outcome in zip(cut_off.cases, result.outcomes, strict=True)
    )
