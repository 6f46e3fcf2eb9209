"""Who may read what: each rule by itself, and the two that a plan treats apart."""

import pytest

from oncall.directory import Competence, Role, SubSpecialty
from oncall.reading.board import Reader, Urgency
from oncall.reading.eligibility import Rule, exclusions, first_broken, open_load
from oncall.reading.policy import DEFAULT
from tests.unit.oncall.reading.boards import board, case, directory, person, reader

SOMEBODY = person("x")


@pytest.mark.parametrize(
    ("who", "known", "rule"),
    [
        pytest.param(reader("x", from_min=5), SOMEBODY, Rule.NOT_ON_DUTY, id="not yet on duty"),
        pytest.param(reader("x", until_min=0), SOMEBODY, Rule.NOT_ON_DUTY, id="duty over"),
        pytest.param(reader("x", resting_until_min=1), SOMEBODY, Rule.RESTING, id="in rest"),
        pytest.param(reader("x", is_unavailable=True), SOMEBODY, Rule.UNAVAILABLE, id="unavailable"),
        pytest.param(reader("y"), SOMEBODY, Rule.UNKNOWN_PERSON, id="not in the directory"),
        pytest.param(reader("x"), person("x", sites=("B",)), Rule.NO_PRIVILEGE, id="no convention with the site"),
        pytest.param(reader("x"), person("x", role=Role.RADIOGRAPHER), Rule.NOT_A_RADIOLOGIST, id="radiographer"),
        pytest.param(
            reader("x"),
            person("x", competences={SubSpecialty.CHEST: Competence.EXPERT}),
            Rule.NOT_COMPETENT,
            id="another sub-specialty",
        ),
    ],
)
def test_each_rule_keeps_a_case_from_a_reader_by_its_own_name(who: Reader, known: object, rule: Rule) -> None:
    wanted = case("c")
    found = exclusions(wanted, who, board([wanted], [who]), directory(known), DEFAULT)
    assert [each.rule for each in found] == [rule]


def test_a_reader_who_breaks_no_rule_is_eligible() -> None:
    wanted, who = case("c"), reader("x")
    assert exclusions(wanted, who, board([wanted], [who]), directory(SOMEBODY), DEFAULT) == ()


def test_who_declined_a_case_is_not_given_it_again() -> None:
    wanted, who = case("c", declined_by=["x"]), reader("x")
    found = exclusions(wanted, who, board([wanted], [who]), directory(SOMEBODY), DEFAULT)
    assert [each.rule for each in found] == [Rule.DECLINED]


def test_all_broken_rules_are_named_not_only_the_first() -> None:
    wanted, who = case("c", declined_by=["x"]), reader("x", from_min=5)
    found = exclusions(wanted, who, board([wanted], [who]), directory(person("x", sites=())), DEFAULT)
    assert {each.rule for each in found} == {Rule.NOT_ON_DUTY, Rule.DECLINED, Rule.NO_PRIVILEGE}


def test_seven_open_cases_are_enough_for_anybody_but_never_bar_a_p1() -> None:
    held = [case(f"h{number}", claimed_by="x") for number in range(7)]
    who, routine, stroke = reader("x"), case("r"), case("s", urgency=Urgency.P1)
    view, known = board([*held, routine, stroke], [who]), directory(SOMEBODY)
    load = {each.case_id: open_load(view, who, each.urgency) for each in (routine, stroke)}
    assert [each.rule for each in exclusions(routine, who, view, known, DEFAULT, load=load["r"])] == [Rule.LOAD]
    assert exclusions(stroke, who, view, known, DEFAULT, load=load["s"]) == ()


def test_every_radiologist_reads_what_needs_no_sub_specialty() -> None:
    wanted = case("c", needs=SubSpecialty.GENERAL)
    assert first_broken(wanted, reader("x"), directory(person("x", competences={})), DEFAULT) is None
