"""Triage: pathways raise a class, never lower it; clocks that a pathway starts."""

import dataclasses

import pytest

from oncall.directory import Role, SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.policy import DEFAULT
from oncall.reading.triage import Pathway, RequestFacts, TriageRule, triage
from tests.unit.oncall.reading.boards import NOW_S

HEAD = RequestFacts(exam=ExamKind.HEAD, requested=Urgency.P3, at_s=NOW_S)


def test_a_request_keeps_the_class_it_asked_for() -> None:
    found = triage(HEAD, DEFAULT)
    assert (found.urgency, found.rules, found.deadline_s) == (Urgency.P3, (TriageRule.REQUESTED,), 3600.0)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param({"is_life_threat": True}, TriageRule.LIFE_THREAT, id="life threat"),
        pytest.param({"pathway": Pathway.STROKE}, TriageRule.STROKE_PATHWAY, id="stroke alert"),
        pytest.param({"exam": ExamKind.STROKE}, TriageRule.STROKE_PATHWAY, id="stroke exam"),
        pytest.param({"pathway": Pathway.POLYTRAUMA}, TriageRule.POLYTRAUMA_PATHWAY, id="polytrauma"),
        pytest.param({"exam": ExamKind.WHOLE_BODY}, TriageRule.POLYTRAUMA_PATHWAY, id="whole-body CT"),
    ],
)
def test_a_threat_to_life_is_p1_whatever_was_asked(change: dict[str, object], rule: TriageRule) -> None:
    found = triage(dataclasses.replace(HEAD, **change), DEFAULT)
    assert found.urgency is Urgency.P1
    assert rule in found.rules
    assert found.target_s == 1200.0


def test_the_thrombolysis_window_ends_four_and_a_half_hours_after_last_known_well() -> None:
    found = triage(dataclasses.replace(HEAD, pathway=Pathway.STROKE, last_known_well_at_s=NOW_S - 3600), DEFAULT)
    assert found.onset_deadline_at_s == NOW_S + 3.5 * 3600


def test_a_stroke_of_unknown_onset_has_no_window_and_says_so() -> None:
    found = triage(dataclasses.replace(HEAD, pathway=Pathway.STROKE), DEFAULT)
    assert found.onset_deadline_at_s is None
    assert TriageRule.WAKE_UP_STROKE in found.rules


def test_a_stroke_goes_to_the_neurologist_and_then_to_the_neuro_radiologist() -> None:
    ladder = triage(dataclasses.replace(HEAD, pathway=Pathway.STROKE), DEFAULT).ladder
    assert ladder[-2:] == ((Role.NEUROLOGIST, SubSpecialty.NEURO), (Role.RADIOLOGIST, SubSpecialty.NEURO))


@pytest.mark.parametrize(
    ("change", "is_due"),
    [
        ({"age_years": 31}, True),
        ({"age_years": 20, "regions": 3}, True),
        ({"age_years": 20, "severity_class": 1}, True),
        ({"age_years": 20, "regions": 2, "severity_class": 2}, False),
    ],
)
def test_a_whole_body_ct_is_read_twice_when_banastes_predictors_hold(change: dict[str, int], is_due: bool) -> None:
    facts = dataclasses.replace(HEAD, exam=ExamKind.WHOLE_BODY, **change)
    assert triage(facts, DEFAULT).is_second_read_due is is_due


def test_trauma_has_a_verbal_report_within_five_minutes() -> None:
    assert triage(dataclasses.replace(HEAD, exam=ExamKind.WHOLE_BODY), DEFAULT).verbal_s == 300.0


def test_a_child_needs_a_paediatric_reader() -> None:
    assert triage(dataclasses.replace(HEAD, age_years=4), DEFAULT).needs is SubSpecialty.PAEDIATRIC
