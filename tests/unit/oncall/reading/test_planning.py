"""The plan: who reads what, when preferences count and when they do not."""

from oncall.directory import Competence, SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.planning import fatigue_s, plan
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import NOW_S, board, case, directory, everybody, person, reader


def readers_of(view: object, known: object = None) -> dict[str, str]:
    made = plan(view, known or everybody(view), DEFAULT)
    return {read.case_id: read.person_id for read in made.reads}


def test_two_cases_and_two_free_readers_begin_at_once() -> None:
    view = board([case("a"), case("b")], [reader("x"), reader("y")])
    made = plan(view, everybody(view), DEFAULT)
    assert {read.start_s for read in made.reads} == {NOW_S}
    assert {read.person_id for read in made.reads} == {"x", "y"}


def test_a_busy_reader_is_expected_free_by_what_their_open_case_still_takes() -> None:
    view = board([case("open", claimed_by="x", claimed_min_ago=3), case("next")], [reader("x")])
    made = plan(view, everybody(view), DEFAULT)
    assert made.claimed[0].done_s == made.reads[0].start_s == NOW_S + 450.0


def test_a_case_begun_before_the_end_of_duty_is_finished_and_none_begins_after_it() -> None:
    view = board([case("a"), case("b")], [reader("x", until_min=5)])
    made = plan(view, everybody(view), DEFAULT)
    assert [read.case_id for read in made.reads] == ["a"]
    assert made.unplanned == ("b",)


def test_a_reader_whose_duty_begins_later_is_planned_for_then() -> None:
    view = board([case("a")], [reader("x", from_min=20)])
    assert plan(view, everybody(view), DEFAULT).reads[0].start_s == NOW_S + 1200


def test_the_reader_of_the_same_patient_is_preferred_when_they_are_free_soon() -> None:
    view = board(
        [case("open", claimed_by="x", claimed_min_ago=9, site="B"), case("c", patient="p")],
        [reader("x", patients=["p"]), reader("y")],
    )
    # x needs longer than the preference is worth: y takes it.
    assert readers_of(view)["c"] == "y"
    free = board([case("c", patient="p")], [reader("y"), reader("x", patients=["p"])])
    assert readers_of(free)["c"] == "x"


def test_the_author_of_the_protocol_reads_the_case_when_both_are_free() -> None:
    view = board([case("c", author="x")], [reader("y"), reader("x")])
    assert readers_of(view)["c"] == "x"


def test_a_preference_never_makes_a_p1_wait() -> None:
    view = board(
        [
            case("open", claimed_by="x", exam=ExamKind.MSK, claimed_min_ago=9),
            case("c", author="x", patient="p", urgency=Urgency.P1),
        ],
        [reader("x", patients=["p"]), reader("y")],
    )
    assert readers_of(view)["c"] == "y"


def test_a_preference_never_costs_the_deadline() -> None:
    nearly_free = case("open", claimed_by="x", exam=ExamKind.WHOLE_BODY, claimed_min_ago=0)
    view = board([nearly_free, case("c", patient="p", waited_min=49)], [reader("x", patients=["p"]), reader("y")])
    assert readers_of(view)["c"] == "y"


def test_who_can_read_it_only_if_nobody_else_does_so_only_then() -> None:
    weak = person("w", competences={SubSpecialty.NEURO: Competence.LAST_RESORT})
    both = board([case("open", claimed_by="x", claimed_min_ago=2, site="B"), case("c")], [reader("w"), reader("x")])
    assert readers_of(both, everybody(both, weak))["c"] == "x"
    alone = board([case("c")], [reader("w")])
    assert readers_of(alone, everybody(alone, weak))["c"] == "w"


def test_of_two_free_readers_the_less_tired_one_is_given_the_case() -> None:
    view = board([case("c")], [reader("x", cases_read=20), reader("y", cases_read=4)])
    assert readers_of(view)["c"] == "y"


def test_load_above_thirteen_an_hour_or_ten_hours_of_duty_is_alarming() -> None:
    assert fatigue_s(reader("x", cases_read=10), NOW_S, DEFAULT) == 0.0
    assert fatigue_s(reader("x", cases_read=13), NOW_S, DEFAULT) == DEFAULT.preferences.warned_fatigue_s
    assert fatigue_s(reader("x", cases_read=26), NOW_S, DEFAULT) == DEFAULT.preferences.alarmed_fatigue_s
    assert fatigue_s(reader("x", from_min=-600), NOW_S, DEFAULT) == DEFAULT.preferences.alarmed_fatigue_s


def test_a_case_that_nobody_may_read_is_said_to_be_unplanned() -> None:
    view = board([case("c", site="B")], [reader("x")])
    assert plan(view, directory(person("x", sites=("A",))), DEFAULT).unplanned == ("c",)


def test_a_reader_who_may_not_read_what_waits_does_not_hold_up_the_others() -> None:
    view = board([case("a"), case("b")], [reader("x"), reader("y")])
    known = directory(person("x", sites=("B",)), person("y"))
    made = plan(view, known, DEFAULT)
    assert [read.person_id for read in made.reads] == ["y", "y"]
