"""The templates that come with the program, clinically and by their codes; publishing beside them, in two databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydicom.sr._concepts_dict import concepts

from foundation.database import Database
from foundation.errors import Refused
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import Chapter, CodedConcept
from oncall.report.rendering import completeness, notices, render
from oncall.report.template import Fact, NoticeKind, Template, defects
from oncall.report.template_fields import check_answers
from oncall.report.template_library import find, in_force, packaged, publish_template, suited

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
BY_KEY = {(one.template_id, one.language): one for one in packaged()}
NAMES = sorted({one.template_id for one in packaged()})
FACTS = {Fact.REASON: "Hémiplégie gauche.", Fact.PROTOCOL: "Hélice cérébrale."}

STROKE: dict[str, Any] = {
    "onset_known": "exact", "onset_time": "2026-10-25T00:10+02:00", "acquisitions": ["ncct", "cta"],
    "haemorrhage": False, "mass_effect": False, "early_signs": True, "early_signs_found": ["insula"],
    "aspects_right": 10, "aspects_left": 8,
    "hyperdense_vessel": ["m1_left"], "occlusion": True, "occlusion_site": ["m1_left"], "collaterals": "tan2",
    "alternative": ["none"], "first_communicated_at": "2026-10-25T00:31+02:00", "communicated_to": "Dr Martin",
}  # fmt: skip
TRAUMA: dict[str, Any] = {
    "age": 31, "severity_class": "2", "acquisitions": ["head", "portal"], "life_threats": ["none"],
    "active_bleeding": False, "injured_regions": ["head", "chest", "limbs"],
}  # fmt: skip
EMBOLISM: dict[str, Any] = {
    "opacification": "good", "embolism": "present", "proximal_level": "lobar", "side": "right", "rv_lv": "1,2",
    "strain": ["none"], "infarction": False, "alternative": ["none"],
}  # fmt: skip


def told(template_id: str, raw: dict[str, Any]) -> set[str]:
    template = BY_KEY[template_id, Language.FRENCH]
    checked = check_answers(template, raw)
    assert not checked.errors
    return {one.notice_id for one in notices(template, checked.answers)}


def missing(template_id: str, raw: dict[str, Any]) -> set[str]:
    template = BY_KEY[template_id, Language.ENGLISH]
    answers = check_answers(template, raw).answers
    lacks = completeness(render(template, answers, {}, facts=FACTS), template, answers)
    return {one.field_id or one.code for one in lacks}


def test_the_three_forms_and_five_exams_are_there_in_both_languages() -> None:
    assert NAMES == [
        "ct-abdomen-pelvis", "ct-chest", "ct-head", "mr-brain", "msk", "pulmonary-embolism", "stroke",
        "trauma-whole-body",
    ]  # fmt: skip
    assert len(BY_KEY) == len(packaged()) == 2 * len(NAMES)
    assert {one for name in NAMES for one in BY_KEY[name, Language.FRENCH].exams} == set(ExamKind)


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_ask_the_same_and_share_no_text_by_mistake(name: str) -> None:
    french, english = BY_KEY[name, Language.FRENCH], BY_KEY[name, Language.ENGLISH]

    def bones(template: Template) -> list[object]:
        return [
            (one.field_id, one.kind, one.chapter, one.unit, one.is_required, one.concept, one.shown_when, one.minimum,
             one.maximum, bool(one.group), bool(one.phrase),
             [(choice.choice_id, choice.code, choice.is_exclusive) for choice in one.choices])
            for one in template.fields
        ]  # fmt: skip

    assert defects(french) == defects(english) == ()
    assert bones(french) == bones(english)
    assert french.title != english.title


# Of SNOMED CT, and not among the concepts of PS3.16 that pydicom lists.
NOT_IN_DICOM = {"274100004": "Cerebral hemorrhage", "21454007": "Subarachnoid hemorrhage", "233604007": "Pneumonia"}


def test_every_code_means_what_dicom_or_snomed_says() -> None:
    meanings: dict[str, set[str]] = {code: {name} for code, name in NOT_IN_DICOM.items()}
    for by_code in concepts["SCT"].values():
        for code, (meaning, _) in by_code.items():
            meanings.setdefault(code, set()).add(meaning.partition(" (")[0])
    codes: set[CodedConcept] = set()
    for template in packaged():
        for field in template.fields:
            codes.update(one for one in (field.concept, *(choice.code for choice in field.choices)) if one is not None)

    assert len(codes) == 10
    assert [one for one in codes if one.scheme != "SCT" or one.meaning not in meanings.get(one.code, ())] == []


def test_a_whole_stroke_form_lacks_only_its_dose_and_calls_for_a_call() -> None:
    assert missing("stroke", STROKE) == {"missing_dose"}
    assert told("stroke", STROKE) == {"occlusion"}
    template = BY_KEY["stroke", Language.FRENCH]
    content = render(template, check_answers(template, STROKE).answers, {}, facts=FACTS)
    assert content.conclusion.splitlines() == [
        "Pas d'hémorragie intracrânienne.",
        "Score ASPECTS : 10/10 à droite, 8/10 à gauche.",
        "Occlusion artérielle : M1 gauche.",
        "Premiers résultats communiqués le 25/10/2026 à 00 h 31 (UTC+02:00).",
        "Résultats communiqués à : Dr Martin.",
    ]
    assert content.indication.startswith("Hémiplégie gauche.\n")


@pytest.mark.parametrize(
    "name", ["onset_time", "aspects_right", "aspects_left", "first_communicated_at", "collaterals"]
)
def test_a_stroke_form_without_what_decides_treatment_is_said_to_lack_it(name: str) -> None:
    assert name in missing("stroke", {key: value for key, value in STROKE.items() if key != name})


def test_haemorrhage_hides_the_score_of_ischaemia_and_asks_for_its_type() -> None:
    raw = STROKE | {"haemorrhage": True}

    assert {"haemorrhage_type", "haemorrhage_site"} <= missing("stroke", raw)
    assert "haemorrhage" in told("stroke", raw)
    template = BY_KEY["stroke", Language.ENGLISH]
    content = render(template, check_answers(template, raw).answers, {})
    assert "ASPECTS" not in content.results + content.conclusion
    assert "No intracranial haemorrhage" not in content.results + content.conclusion


def test_a_score_against_the_early_signs_is_said_to_contradict_them() -> None:
    assert "aspects_left" in told("stroke", STROKE | {"early_signs": False})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"predictor_regions", "predictor_age"}),
        ({"age": 30, "injured_regions": ["head", "chest"]}, set()),
        ({"age": 30, "injured_regions": ["none"]}, set()),
        ({"age": 20, "injured_regions": ["limbs"], "severity_class": "1"}, {"predictor_severity"}),
        ({"age": 20, "injured_regions": ["none"], "chest_status": "injured"}, {"chest_not_listed"}),
        (
            {"age": 20, "injured_regions": ["none"], "active_bleeding": True, "life_threats": ["aorta"]},
            {"active_bleeding", "life_threats", "bleeding_without_injury"},
        ),
    ],
)
def test_a_trauma_form_tells_the_predictors_of_missed_injury_and_what_cannot_wait(
    changes: dict[str, Any], expected: set[str]
) -> None:
    assert told("trauma-whole-body", TRAUMA | changes) == expected


def test_second_reading_is_told_from_critical_findings() -> None:
    template = BY_KEY["trauma-whole-body", Language.FRENCH]
    kinds = {one.notice_id: (one.kind, one.category) for one in template.notices}

    assert kinds["predictor_age"] == (NoticeKind.SECOND_READING, None)
    assert kinds["life_threats"] == (NoticeKind.CRITICAL, 1)


def test_life_threats_stand_before_everything_else_in_the_results_of_a_trauma() -> None:
    template = BY_KEY["trauma-whole-body", Language.FRENCH]
    raw = TRAUMA | {"head_status": "injured", "head_detail": "x", "life_threats": ["tension"]}

    lines = render(template, check_answers(template, raw).answers, {}).results.splitlines()

    assert lines[:2] == ["Menaces vitales immédiates :", "Menaces vitales : pneumothorax compressif."]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"embolism", "ratio_without_strain"}),
        ({"rv_lv": "0,9", "strain": ["rv"]}, {"embolism", "strain_without_ratio"}),
        ({"embolism": "absent", "opacification": "poor"}, {"absent_without_opacification"}),
        (
            {"proximal_level": "subsegmental", "opacification": "lobar", "rv_lv": 1},
            {"embolism", "beyond_opacification"},
        ),
        ({"embolism": "absent", "alternative": ["aorta"]}, {"other_emergency"}),
    ],
)
def test_an_embolism_form_tells_what_is_critical_and_what_contradicts_itself(
    changes: dict[str, Any], expected: set[str]
) -> None:
    assert told("pulmonary-embolism", EMBOLISM | changes) == expected


def test_an_excluded_embolism_says_how_far_it_could_be_seen() -> None:
    template = BY_KEY["pulmonary-embolism", Language.ENGLISH]
    raw = EMBOLISM | {"embolism": "absent", "opacification": "lobar"}

    content = render(template, check_answers(template, raw).answers, {})

    assert content.conclusion == "No visible pulmonary embolism; opacification interpretable to the lobar level."
    assert "Right heart" not in content.results


@pytest.mark.parametrize("name", NAMES)
def test_what_uses_x_rays_wants_its_dose_and_an_empty_form_cannot_be_signed(name: str) -> None:
    assert ("missing_dose" in missing(name, {})) is (name != "mr-brain")
    assert {"missing_conclusion", "missing_results"} <= missing(name, {})
    template = BY_KEY[name, Language.FRENCH]
    assert render(template, {}, {}, facts=FACTS).text_of(Chapter.INDICATION) == FACTS[Fact.REASON]


def test_a_case_is_offered_the_form_of_its_exam_and_modality_first() -> None:
    def first(exam: ExamKind | None, modality: str) -> str:
        return suited(packaged(), exam=exam, modality=modality, language=Language.FRENCH)[0].template_id

    assert first(ExamKind.STROKE, "CT") == "stroke"
    assert first(ExamKind.STROKE, "MR") == "mr-brain"
    assert first(ExamKind.WHOLE_BODY, "CT") == "trauma-whole-body"
    assert first(ExamKind.HEAD, "") == "ct-head"
    assert first(ExamKind.MSK, "CR") == "msk"


def published(database: Database, template: Template, now: datetime = NOW) -> None:
    with database.write(durable=True) as connection:
        publish_template(connection, template, by="r05", now=now)


def test_what_is_published_here_goes_before_what_came_with_the_program(database: Database) -> None:
    key = ("stroke", Language.FRENCH)
    own = replace(BY_KEY[key], version="2", title="AVC, chez nous")
    published(database, own)
    published(database, replace(own, version="3", title="AVC, mieux"), NOW + timedelta(days=1))

    with database.read() as connection:
        offered = in_force(connection)
        assert offered[key].template.title == "AVC, mieux"
        assert (offered["stroke", Language.ENGLISH].published, len(offered)) == (None, 2 * len(NAMES))
        assert find(connection, *key, "2") == own
        assert find(connection, *key, "1.0") == BY_KEY[key]
        assert find(connection, *key, "4") is None


def test_a_published_version_never_changes_nor_does_one_that_came_with_the_program(database: Database) -> None:
    own = replace(BY_KEY["msk", Language.ENGLISH], version="2")
    published(database, own)
    published(database, own, NOW + timedelta(days=1))

    with pytest.raises(Refused, match="never changes"):
        published(database, replace(own, title="Other"))
    with pytest.raises(Refused, match="came with the program"):
        published(database, replace(own, version="1.0", title="Other"))
