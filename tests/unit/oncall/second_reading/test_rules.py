"""Which signed reports are read again: whole-body CTs by their predictors, trainees' reads, a drawn share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oncall.case.event import GENESIS_HASH, CaseId
from oncall.case.state import Case
from oncall.directory import Competence, Directory, PersonId, SiteId, SubSpecialty
from oncall.reading.board import ExamKind
from oncall.report.content import Answer
from oncall.second_reading.policy import Reason, SecondReadingPolicy
from oncall.second_reading.rules import Injuries, injuries_of, is_sampled, reasons_for, times_of
from tests.harness.reports import content
from tests.harness.small_territory import directory

NIGHT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
NOBODY_DRAWN = SecondReadingPolicy(version="t", sampled_share=0.0)
ANNA = PersonId("anna")


def case(exam: ExamKind = ExamKind.WHOLE_BODY, case_id: str = "C1") -> Case:
    return Case(
        case_id=CaseId(case_id), seq=1, head_hash=GENESIS_HASH, opened_at=NIGHT, site_id=SiteId("north"), exam=exam
    )


def trainee(person_id: PersonId) -> Directory:
    known = directory()
    least = replace(known.persons[person_id], competences=dict.fromkeys(SubSpecialty, Competence.LAST_RESORT))
    return replace(known, persons={**known.persons, person_id: least})


@pytest.mark.parametrize(
    ("injuries", "is_asked"),
    [
        pytest.param(Injuries(regions=2, age_years=30, severity_class=2), False, id="none-of-them"),
        pytest.param(Injuries(regions=3, age_years=30, severity_class=2), True, id="more-than-two-regions"),
        pytest.param(Injuries(regions=2, age_years=31, severity_class=2), True, id="above-thirty"),
        pytest.param(Injuries(regions=2, age_years=30, severity_class=1), True, id="severity-class-one"),
        pytest.param(Injuries(regions=2, age_years=None, severity_class=2), False, id="age-not-known"),
        pytest.param(Injuries(regions=None, age_years=20, severity_class=2), True, id="regions-not-known"),
        pytest.param(Injuries(regions=0, age_years=20, severity_class=None), True, id="severity-not-known"),
        pytest.param(Injuries(), True, id="nothing-known"),
    ],
)
def test_a_whole_body_ct_is_read_again_when_a_predictor_holds_or_is_unknown(injuries: Injuries, is_asked: bool) -> None:
    found = reasons_for(case(), ANNA, directory(), NOBODY_DRAWN, injuries)

    assert found == ((Reason.WHOLE_BODY,) if is_asked else ())


def test_predictors_of_a_head_ct_ask_for_nothing() -> None:
    assert reasons_for(case(ExamKind.HEAD), ANNA, directory(), NOBODY_DRAWN, Injuries(regions=5)) == ()


def test_what_a_trainee_has_signed_is_read_again_within_a_day() -> None:
    found = reasons_for(case(ExamKind.HEAD), ANNA, trainee(ANNA), NOBODY_DRAWN, Injuries())

    assert found == (Reason.TRAINEE,)
    assert times_of(found, NOBODY_DRAWN, NIGHT) == (NIGHT, NIGHT + timedelta(hours=24))


def test_a_whole_body_ct_is_read_again_after_twelve_and_within_forty_eight_hours() -> None:
    earliest, due = times_of([Reason.WHOLE_BODY], NOBODY_DRAWN, NIGHT)

    assert (earliest - NIGHT, due - NIGHT) == (timedelta(hours=12), timedelta(hours=48))


def test_the_same_share_of_every_readers_cases_is_drawn_and_always_the_same_cases() -> None:
    policy = SecondReadingPolicy(version="t", sampled_share=0.02, sampled_share_of={"boris": 0.2})
    drawn = {
        reader: [f"C{number}" for number in range(5000) if is_sampled(CaseId(f"C{number}"), PersonId(reader), policy)]
        for reader in ("anna", "diane", "boris")
    }

    assert all(70 <= len(drawn[reader]) <= 130 for reader in ("anna", "diane"))
    assert 900 <= len(drawn["boris"]) <= 1100
    # Each reader is a stratum of its own, and another seed draws other cases.
    assert set(drawn["anna"]) != set(drawn["diane"])
    reseeded = replace(policy, seed="2")
    assert [one for one in drawn["anna"] if is_sampled(CaseId(one), ANNA, reseeded)] != drawn["anna"]


@pytest.mark.parametrize(("share", "is_drawn"), [(0.0, False), (1.0, True)])
def test_nothing_or_everything_can_be_drawn(share: float, is_drawn: bool) -> None:
    policy = SecondReadingPolicy(version="t", sampled_share=share)

    assert all(is_sampled(CaseId(f"C{number}"), ANNA, policy) is is_drawn for number in range(200))


def answer(field_id: str, value: object) -> Answer:
    return Answer(field_id=field_id, label="x", value=value)  # type: ignore[arg-type]  # what a form of any kind keeps


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        pytest.param(
            (answer("injured_regions", ("thorax", "bassin", "membres")), answer("age", 41),
             answer("severity_class", "classe 1")),
            Injuries(regions=3, age_years=41, severity_class=1), id="all-of-them",
        ),
        pytest.param((answer("injured_regions", ("none",)), answer("severity_class", "class 3")),
                     Injuries(regions=0, severity_class=3), id="no-region"),
        pytest.param((answer("injured_regions", "many"), answer("severity_class", "grave"), answer("age", True)),
                     Injuries(), id="another-form"),
    ],
)  # fmt: skip
def test_a_structured_report_tells_its_predictors_and_another_form_tells_none(
    answers: tuple[Answer, ...], told: Injuries
) -> None:
    assert injuries_of(content(answers=answers)) == told
