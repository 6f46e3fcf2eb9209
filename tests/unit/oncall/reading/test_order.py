"""The order of reading: P1, then whom the guard brings back, then by what a delay would cost."""

from oncall.reading.board import ExamKind, ReadyCase, Urgency
from oncall.reading.order import Band, waiting
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import NOW_S, case


def order(*cases: ReadyCase) -> list[str]:
    return [each.case_id for each in sorted((waiting(one, DEFAULT) for one in cases), key=lambda w: w.rank(NOW_S))]


def test_a_p1_goes_before_whatever_has_waited_however_long() -> None:
    assert order(case("old", waited_min=200), case("p1", urgency=Urgency.P1)) == ["p1", "old"]


def test_of_two_p1_the_one_with_the_earlier_target_goes_first() -> None:
    assert order(case("late", urgency=Urgency.P1, waited_min=1), case("early", urgency=Urgency.P1, waited_min=5)) == [
        "early",
        "late",
    ]


def test_with_time_to_spare_the_older_case_goes_first() -> None:
    assert order(case("new", waited_min=1), case("old", waited_min=20)) == ["old", "new"]


def test_a_case_that_can_just_make_the_hour_goes_before_one_that_cannot_and_one_that_need_not_yet() -> None:
    assert order(case("lost", waited_min=58), case("fresh"), case("tight", waited_min=40))[0] == "tight"


def test_of_equally_old_cases_near_their_hour_the_one_that_costs_less_work_goes_first() -> None:
    assert order(
        case("long", waited_min=42, exam=ExamKind.ABDOMEN), case("short", waited_min=42, exam=ExamKind.HEAD)
    ) == ["short", "long"]


def test_a_case_at_its_guard_goes_before_all_but_p1_so_nobody_is_abandoned() -> None:
    assert order(case("tight", waited_min=42), case("rotting", waited_min=85), case("p1", urgency=Urgency.P1)) == [
        "p1",
        "rotting",
        "tight",
    ]


def test_beyond_the_guard_the_oldest_goes_first() -> None:
    assert order(case("b", waited_min=90), case("a", waited_min=120)) == ["a", "b"]


def test_the_band_says_where_a_case_stands() -> None:
    bands = [
        waiting(each, DEFAULT).band(NOW_S)
        for each in (
            case("p1", urgency=Urgency.P1),
            case("guarded", waited_min=86),
            case("on time", waited_min=30),
            case("late", waited_min=57),
        )
    ]
    assert bands == [Band.P1, Band.GUARDED, Band.ON_TIME, Band.LATE]
