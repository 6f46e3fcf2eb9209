"""Decisions: whom a case is given to, when it moves, and what is stored of the reasons."""

import dataclasses

from oncall.directory import PersonId
from oncall.language import Language
from oncall.reading.assignment import Cause, decide, next_case
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.eligibility import Rule
from oncall.reading.explanation import why, why_not
from oncall.reading.order import Band
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import NOW_S, board, case, directory, everybody, person, reader


def test_every_case_without_a_reader_gets_one() -> None:
    view = board([case("a"), case("b"), case("c")], [reader("x"), reader("y")])
    made = decide(view, everybody(view), DEFAULT)
    assert {each.case_id for each in made} == {"a", "b", "c"}
    assert {each.cause for each in made} == {Cause.NEW}
    assert {each.person_id for each in made} == {"x", "y"}


def test_deciding_again_on_what_was_decided_changes_nothing() -> None:
    view = board([case(name) for name in "abcdef"], [reader("x"), reader("y")])
    known = everybody(view)
    given = {each.case_id: each.person_id for each in decide(view, known, DEFAULT)}
    after = dataclasses.replace(
        view, cases=tuple(dataclasses.replace(each, assigned_to=given[each.case_id]) for each in view.cases)
    )
    assert decide(after, known, DEFAULT) == ()


def test_a_case_leaves_a_reader_who_may_no_longer_read_it() -> None:
    view = board([case("c", assigned_to="x")], [reader("x", is_unavailable=True), reader("y")])
    (made,) = decide(view, everybody(view), DEFAULT)
    assert (made.cause, made.previous, made.person_id) == (Cause.READER_LOST, "x", "y")
    assert [(each.person_id, each.rule) for each in made.excluded] == [("x", Rule.UNAVAILABLE)]


def test_a_case_leaves_a_busy_reader_only_when_waiting_would_cost_its_hour() -> None:
    busy = case("open", claimed_by="x", exam=ExamKind.WHOLE_BODY)
    patient = board([busy, case("c", assigned_to="x")], [reader("x"), reader("y")])
    assert decide(patient, everybody(patient), DEFAULT) == ()
    pressing = board([busy, case("c", assigned_to="x", waited_min=30)], [reader("x"), reader("y")])
    assert [each.cause for each in decide(pressing, everybody(pressing), DEFAULT)] == [Cause.SOONER]


def test_no_more_than_seven_cases_are_on_a_list_and_the_rest_says_nobody() -> None:
    view = board([case(f"c{number}") for number in range(9)], [reader("x")])
    made = decide(view, everybody(view), DEFAULT)
    assert [each.person_id for each in made] == ["x"] * 7 + [None] * 2
    assert [each.cause for each in made[7:]] == [Cause.NOBODY] * 2


def test_a_reader_whose_duty_ends_before_the_cases_turn_is_excluded_with_that_reason() -> None:
    view = board([case("a"), case("b")], [reader("x", until_min=1)])
    first, second = decide(view, everybody(view), DEFAULT)
    assert (first.person_id, second.cause, second.person_id) == ("x", Cause.NOBODY, None)
    assert [(each.person_id, each.rule) for each in second.excluded] == [("x", Rule.LEAVES_BEFORE)]


def test_a_case_that_nobody_may_read_is_decided_as_nobodys_with_every_exclusion() -> None:
    view = board([case("c", site="B")], [reader("x"), reader("y", until_min=0)])
    (made,) = decide(view, directory(person("x", sites=("A",)), person("y")), DEFAULT)
    assert (made.cause, made.person_id) == (Cause.NOBODY, None)
    assert {(each.person_id, each.rule) for each in made.excluded} == {
        ("x", Rule.NO_PRIVILEGE),
        ("y", Rule.NOT_ON_DUTY),
    }


def test_a_free_reader_opens_the_p1_even_when_it_is_on_somebody_elses_list() -> None:
    view = board(
        [
            case("open", claimed_by="x", exam=ExamKind.ABDOMEN),
            case("p1", urgency=Urgency.P1, assigned_to="x"),
            case("mine", assigned_to="y", waited_min=30),
        ],
        [reader("x"), reader("y")],
    )
    made = next_case(view, PersonId("y"), everybody(view), DEFAULT)
    assert made is not None
    assert (made.case_id, made.cause, made.previous, made.band) == ("p1", Cause.TURN, "x", Band.P1)


def test_a_reader_with_nothing_to_read_is_told_so() -> None:
    view = board([], [reader("x")])
    assert next_case(view, PersonId("x"), everybody(view), DEFAULT) is None


def test_somebody_who_is_not_on_duty_is_given_nothing() -> None:
    view = board([case("c")], [reader("x", from_min=10)])
    assert next_case(view, PersonId("x"), everybody(view), DEFAULT) is None


def test_a_decision_holds_candidates_scores_chances_and_the_version_of_its_policy() -> None:
    view = board([case("c", waited_min=20)], [reader("x"), reader("y"), reader("z", until_min=0)])
    (made,) = decide(view, everybody(view), DEFAULT)
    assert {each.person_id for each in made.candidates} == {"x", "y"}
    assert made.candidates[0].person_id == made.person_id
    assert made.chance_if_delayed < made.chance_of_hour <= 1.0
    assert (made.at_s, made.policy_version) == (NOW_S, DEFAULT.version)


def test_a_decision_is_explained_in_french_and_in_english() -> None:
    view = board(
        [case("CASE-7", waited_min=20, author="x")],
        [reader("x"), reader("y"), reader("z")],
    )
    known = everybody(view, person("z", sites=("B",)))
    (made,) = decide(view, known, DEFAULT)
    assert why(made, known, Language.FRENCH) == (
        "CASE-7 à Dr x : nouveau dossier ; début prévu dans 0 min, marge 30 min.",
        "Peut encore tenir l'heure ; chance de tenir l'heure 99 %, 97 % s'il passe son tour.",
        "→ Dr x : libre dans 0 min, auteur du protocole (-2 min) ; score -2.0",
        "· Dr y : libre dans 0 min ; score 0.0",
        "× Dr z : pas de convention avec A [no_privilege]",
    )
    assert why(made, known, Language.ENGLISH) == (
        "CASE-7 to Dr x: new case; predicted to begin in 0 min, 30 min to spare.",
        "Can still make the hour; chance of making the hour 99%, 97% if passed over once.",
        "→ Dr x: free in 0 min, wrote the protocol (-2 min); score -2.0",
        "· Dr y: free in 0 min; score 0.0",
        "× Dr z: no privilege at A [no_privilege]",
    )


def test_why_not_says_only_what_concerns_one_person() -> None:
    view = board([case("c")], [reader("x"), reader("z", until_min=0)])
    known = everybody(view)
    (made,) = decide(view, known, DEFAULT)
    assert why_not(made, PersonId("z"), known, Language.ENGLISH) == ("× Dr z: is not on duty [not_on_duty]",)
