"""The clairvoyant: causes that can be known beforehand, and bounds that nobody exceeds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.directory import PersonId
from oncall.figures.night import PlayedCase, PlayedNight, Turn, judge
from oncall.figures.row import Cause
from oncall.spans import Span

NOON = datetime(2026, 11, 21, 11, tzinfo=UTC)
ANNE, BRUNO = PersonId("anne"), PersonId("bruno")


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def span(start: float, end: float) -> Span:
    return Span(start=at(start), end=at(end))


def case(number: int, images: float, signed: float | None, opened: float | None, **more: Any) -> PlayedCase:
    return PlayedCase(
        case_id=f"c{number}", site_id="h", urgency=2, exam="head", images_at=at(images), deadline_at=at(images + 60),
        signed_at=None if signed is None else at(signed), opened_at=None if opened is None else at(opened),
        expected_read_s=600.0, **more,
    )  # fmt: skip


def read(number: int, person: PersonId, start: float, end: float, *, is_final: bool = True) -> Turn:
    return Turn(case_id=f"c{number}", person_id=person, spans=(span(start, end),), is_final=is_final)


def night(cases: list[PlayedCase], turns: list[Turn], **more: Any) -> PlayedNight:
    given: dict[str, Any] = {"duties": {ANNE: [span(0, 1440)]}, "silences": {}}
    return PlayedNight(within=span(0, 1440), cases=tuple(cases), turns=tuple(turns), **(given | more))


def causes(played: PlayedNight) -> dict[str, Cause]:
    return dict(judge(played).causes())


def test_what_was_read_for_longer_than_its_hour_is_late_by_its_own_length() -> None:
    played = night([case(1, 400, 470, 401)], [read(1, ANNE, 401, 470)])

    assert causes(played) == {"c1": Cause.OWN_LENGTH}


def test_a_late_case_that_was_opened_after_a_younger_one_is_late_by_order() -> None:
    played = night([case(1, 400, 465, 440), case(2, 405, 435, 406)], [read(1, ANNE, 440, 465), read(2, ANNE, 406, 435)])

    verdict = judge(played)

    assert dict(verdict.causes()) == {"c1": Cause.ORDER}
    assert (verdict.in_time, verdict.bound, verdict.ratio) == (1, 2, 0.5)


def test_more_work_than_hours_is_capacity() -> None:
    cases = [case(1, 400, 445, 400), case(2, 400, 490, 445)]
    played = night(cases, [read(1, ANNE, 400, 445), read(2, ANNE, 445, 490)])

    verdict = judge(played)

    assert dict(verdict.causes()) == {"c2": Cause.CAPACITY}
    assert verdict.bound == verdict.in_time == 1


def test_what_a_silent_reader_would_have_read_is_late_by_silence() -> None:
    cases = [case(1, 400, 440, 400), case(2, 400, 480, 440)]
    turns = [read(1, ANNE, 400, 440), read(2, ANNE, 440, 480)]
    duties = {ANNE: [span(0, 1440)], BRUNO: [span(0, 1440)]}

    silent = night(cases, turns, duties=duties, silences={BRUNO: [span(390, 800)]})
    awake = night(cases, turns, duties=duties)

    assert (causes(silent), causes(awake)) == ({"c2": Cause.SILENCE}, {"c2": Cause.ORDER})
    assert (judge(silent).bound, judge(silent).bound_without_silence) == (1, 2)


def test_causes_are_possible_together_so_one_reader_more_saves_one_case_more() -> None:
    # Two readers have two hours for three times 45 minutes.
    cases = [case(n, 400, 470 + 45 * n, 425 + 45 * n) for n in (1, 2, 3)]
    turns = [read(n, ANNE, 425 + 45 * n, 470 + 45 * n) for n in (1, 2, 3)]
    duties = {ANNE: [span(0, 1440)], BRUNO: [span(0, 1440)]}

    found = causes(night(cases, turns, duties=duties, silences={BRUNO: [span(390, 800)]}))

    assert sorted(found.values()) == [Cause.CAPACITY, Cause.ORDER, Cause.SILENCE]


def test_what_came_at_once_after_a_stalled_transfer_is_late_by_transfer() -> None:
    stalled = [case(n, 500, 500 + 40 * n, 460 + 40 * n, stalled=timedelta(minutes=100)) for n in (1, 2)]
    turns = [read(n, ANNE, 460 + 40 * n, 500 + 40 * n) for n in (1, 2)]
    staggered = [stalled[0], replace(stalled[1], stalled=timedelta(minutes=45))]

    assert causes(night(staggered, turns)) == {"c2": Cause.TRANSFER}
    assert judge(night(staggered, turns)).bound_without_transfers == 2


def test_waiting_for_late_images_is_the_transfers_fault_too() -> None:
    waited = case(1, 400, 470, 450, late_images_at=at(448))

    assert causes(night([waited], [read(1, ANNE, 450, 470)])) == {"c1": Cause.TRANSFER}


def test_what_nobody_has_read_yet_counts_as_long_as_its_kind_takes() -> None:
    verdict = judge(night([case(1, 400, None, None)], []))

    assert [(one.cause, one.elapsed_s, one.read_s) for one in verdict.late] == [(Cause.ORDER, None, None)]


def test_a_night_with_nobody_on_duty_is_capacity() -> None:
    verdict = judge(night([case(1, 400, None, None)], [], duties={}))

    assert dict(verdict.causes()) == {"c1": Cause.CAPACITY}
    assert verdict.ratio is None


def test_whoever_reads_without_being_on_the_roster_is_capacity_while_they_read() -> None:
    verdict = judge(night([case(1, 400, 430, 410)], [read(1, BRUNO, 410, 430)], duties={}))

    assert (verdict.in_time, verdict.bound) == (1, 1)


def test_of_two_open_cases_the_one_opened_last_is_read() -> None:
    cases = [case(1, 400, 470, 400), case(2, 410, 460, 410)]
    played = night(cases, [read(1, ANNE, 400, 470), read(2, ANNE, 410, 460)])

    verdict = judge(played)

    # Seventy minutes open, of which fifty went to the other: twenty were read.
    assert [(one.case_id, one.read_s) for one in verdict.late] == [("c1", 1200.0)]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 120), st.integers(1, 70)), min_size=1, max_size=12),
    silence=st.tuples(st.integers(300, 600), st.integers(1, 200)),
    leaves=st.integers(400, 800),
)
def test_what_was_in_time_is_never_more_than_the_bound(
    lengths: list[tuple[int, int]], silence: tuple[int, int], leaves: int
) -> None:
    free: dict[PersonId, float] = {ANNE: 0.0, BRUNO: 0.0}
    cases, turns = [], []
    for number, (images, minutes) in enumerate(sorted(lengths)):
        reader = min(free, key=lambda person: free[person])
        start = max(free[reader], 400 + images)
        free[reader] = start + minutes
        cases.append(case(number, 400 + images, start + minutes, start))
        turns.append(read(number, reader, start, start + minutes))
    duties = {ANNE: [span(0, 1440)], BRUNO: [span(0, leaves)]}
    silences = {BRUNO: [span(silence[0], sum(silence))]}

    verdict = judge(night(cases, turns, duties=duties, silences=silences))

    assert verdict.in_time <= verdict.bound <= verdict.bound_without_silence <= len(cases)
    assert {one.case_id for one in verdict.late} == {one.case_id for one in cases if not one.is_in_time}
    by_order = sum(one.cause is Cause.ORDER for one in verdict.late)
    assert verdict.in_time + by_order <= verdict.bound
    assert Cause.WAITING not in verdict.causes().values()
