"""What a query needs, and what becomes of keys that do not belong to its level."""

import pytest

from pacs.archive.attributes import Level
from pacs.archive.matching import InvalidKey, MatchingOptions
from pacs.archive.query_plan import IdentifierDoesNotMatch, Model, Origin, Plan, Query, plan_query
from pacs.archive.query_values import Element, Item

PATIENT_ID = 0x00100020
STUDY_UID = 0x0020000D
SERIES_UID = 0x0020000E
SOP_UID = 0x00080018
MODALITY = 0x00080060
STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
IMAGE_TYPE = 0x00080008


def plan(model: Model, level: Level, keys: Item, *, relational: bool = False, combined: bool = False) -> Plan:
    return plan_query(
        Query(
            model=model,
            level=level,
            keys=keys,
            is_relational=relational,
            zone=None,
            options=MatchingOptions(combined_date_time=combined),
        )
    )


def uid(text: str = "1.2.3") -> Element:
    return Element(vr="UI", text=text)


@pytest.mark.parametrize(
    ("model", "level"),
    [
        (Model.STUDY_ROOT, Level.PATIENT),
        (Model.PATIENT_STUDY_ONLY, Level.SERIES),
        (Model.PATIENT_STUDY_ONLY, Level.IMAGE),
    ],
)
def test_a_level_that_the_model_lacks_does_not_match_the_sop_class(model: Model, level: Level) -> None:
    with pytest.raises(IdentifierDoesNotMatch):
        plan(model, level, {}, relational=True)


@pytest.mark.parametrize(
    ("model", "level", "needed"),
    [
        (Model.PATIENT_ROOT, Level.PATIENT, []),
        (Model.PATIENT_ROOT, Level.STUDY, [PATIENT_ID]),
        (Model.PATIENT_ROOT, Level.SERIES, [PATIENT_ID, STUDY_UID]),
        (Model.PATIENT_ROOT, Level.IMAGE, [PATIENT_ID, STUDY_UID, SERIES_UID]),
        (Model.STUDY_ROOT, Level.STUDY, []),
        (Model.STUDY_ROOT, Level.SERIES, [STUDY_UID]),
        (Model.STUDY_ROOT, Level.IMAGE, [STUDY_UID, SERIES_UID]),
        (Model.PATIENT_STUDY_ONLY, Level.STUDY, [PATIENT_ID]),
    ],
)
def test_a_hierarchical_query_needs_one_value_of_every_unique_key_above(
    model: Model, level: Level, needed: list[int]
) -> None:
    keys = {tag: Element(vr="LO", text="1.2.3") for tag in needed}
    assert plan(model, level, keys).level is level
    for missing in needed:
        for bad in (None, "", "*", "1?", "1.2\\1.3"):
            others = {tag: key for tag, key in keys.items() if tag != missing}
            if bad is not None:
                others[missing] = Element(vr="LO", text=bad)
            with pytest.raises(IdentifierDoesNotMatch) as caught:
                plan(model, level, others)
            assert caught.value.tag == missing


def test_a_relational_query_needs_no_unique_key() -> None:
    assert plan(Model.PATIENT_ROOT, Level.IMAGE, {}, relational=True).row_level is Level.IMAGE


def test_a_key_with_a_value_from_below_is_matched_on_rows_from_below() -> None:
    planned = plan(Model.STUDY_ROOT, Level.STUDY, {MODALITY: Element(vr="CS", text="CT")})
    assert planned.row_level is Level.SERIES
    assert planned.is_complete


def test_a_key_without_a_value_from_below_cannot_be_answered_and_that_is_said() -> None:
    planned = plan(Model.STUDY_ROOT, Level.STUDY, {MODALITY: Element(vr="CS")})
    assert planned.row_level is Level.STUDY
    assert planned.fields[0].origin is Origin.NOWHERE
    assert not planned.is_complete


def test_what_has_no_column_is_read_from_headers_at_the_image_level_only() -> None:
    image = plan(Model.STUDY_ROOT, Level.IMAGE, {IMAGE_TYPE: Element(vr="CS")}, relational=True)
    study = plan(Model.STUDY_ROOT, Level.STUDY, {IMAGE_TYPE: Element(vr="CS", text="ORIGINAL")})
    assert image.fields[0].origin is Origin.HEADER
    assert image.is_complete
    assert study.fields[0].origin is Origin.NOWHERE
    assert study.conditions == ()
    assert not study.is_complete


def test_private_keys_are_neither_matched_nor_answered() -> None:
    planned = plan(Model.STUDY_ROOT, Level.STUDY, {0x00091001: Element(vr="LO", text="x")})
    assert planned.fields == ()
    assert planned.conditions == ()
    assert not planned.is_complete


def test_the_dictionary_says_what_a_key_means_whatever_vr_the_sender_wrote() -> None:
    planned = plan(Model.STUDY_ROOT, Level.STUDY, {STUDY_DATE: Element(vr="LO", text="20240101-")})
    assert planned.fields[0].vr == "DA"


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        (0x00400275, Element(vr="LO", text="x")),
        (PATIENT_ID, Element(vr="SQ", items=({},))),
        (STUDY_DATE, Element(vr="DA", text="yesterday")),
        (STUDY_UID, Element(vr="UI", text="1.2.*")),
    ],
)
def test_a_key_without_meaning_is_refused(tag: int, key: Element) -> None:
    with pytest.raises(InvalidKey) as caught:
        plan(Model.STUDY_ROOT, Level.STUDY, {tag: key})
    assert caught.value.tag == tag


def test_date_and_time_ranges_are_matched_together_only_when_negotiated() -> None:
    keys = {STUDY_DATE: Element(vr="DA", text="20240101-20240102"), STUDY_TIME: Element(vr="TM", text="2200-0600")}
    planned = plan(Model.STUDY_ROOT, Level.STUDY, keys, combined=True)
    assert len(planned.spans) == 1
    assert planned.conditions == ()
    with pytest.raises(InvalidKey):
        plan(Model.STUDY_ROOT, Level.STUDY, keys)


def test_a_combined_range_without_meaning_is_refused() -> None:
    keys = {STUDY_DATE: Element(vr="DA", text="20240101-x"), STUDY_TIME: Element(vr="TM", text="10-11")}
    with pytest.raises(InvalidKey):
        plan(Model.STUDY_ROOT, Level.STUDY, keys, combined=True)
