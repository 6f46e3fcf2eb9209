"""Matching by PS3.4 C.2.2.2, key by key, without a database."""

import time
from datetime import UTC, timedelta, timezone

import pytest

from pacs.archive.matching import (
    KEY_CHARACTERS_MAX,
    KEY_DEPTH_MAX,
    InvalidKey,
    MatchingOptions,
    SequenceMatch,
    compile_date_time_span,
    compile_key,
    matches_element,
    parse_wildcard,
)
from pacs.archive.query_time import NotATime
from pacs.archive.query_values import Element

PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
ACQUISITION_DATE_TIME = 0x0008002A
STUDY_INSTANCE_UID = 0x0020000D
MODALITIES_IN_STUDY = 0x00080061
SERIES_NUMBER = 0x00200011
ROWS = 0x00280010
STUDY_DESCRIPTION = 0x00081030
IMAGE_COMMENTS = 0x00204000
PATIENT_AGE = 0x00101010
REQUEST_ATTRIBUTES_SEQUENCE = 0x00400275
REQUESTED_PROCEDURE_ID = 0x00401001
SCHEDULED_PROTOCOL_CODE_SEQUENCE = 0x00400008
CODE_VALUE = 0x00080100

BASELINE = MatchingOptions()
FUZZY = MatchingOptions(fuzzy_names=True)
ALL_VALUES = MatchingOptions(all_values=True)


def does_match(tag: int, vr: str, key: str, value: str, options: MatchingOptions = BASELINE) -> bool:
    matcher = compile_key(tag, Element(vr=vr, text=key), options)
    return matcher is None or matches_element(matcher, Element(vr=vr, text=value))


# --- universal, single value, wildcards ----------------------------------------------------------


@pytest.mark.parametrize("key", ["", "  ", "*", "**"])
@pytest.mark.parametrize("vr", ["LO", "PN", "UI", "DA", "IS", "AS"])
def test_a_key_without_a_value_or_a_lone_asterisk_is_universal(key: str, vr: str) -> None:
    assert compile_key(PATIENT_ID, Element(vr=vr, text=key), BASELINE) is None


@pytest.mark.parametrize("vr", ["DA", "TM", "DT"])
def test_a_range_open_at_both_ends_is_universal(vr: str) -> None:
    assert compile_key(STUDY_DATE, Element(vr=vr, text="-"), BASELINE) is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ABC", "ABC", True),
        (" ABC ", "ABC", True),
        ("ABC", "abc", False),
        ("ABC", "ABCD", False),
        ("ABC", "", False),
        ("A*", "ABC", True),
        ("A*", "A", True),
        ("*C", "ABC", True),
        ("*B*", "ABC", True),
        ("A?C", "ABC", True),
        ("A?C", "AC", False),
        ("???", "ABC", True),
        ("??", "ABC", False),
        ("A*A", "A", False),
        ("A*A", "AA", True),
        ("*A?*C", "xxABxC", True),
        ("a*", "ABC", False),
        ("[A]*", "ABC", False),
        ("A.C", "ABC", False),
        ("?*", "", False),
    ],
)
def test_text_is_matched_exactly_or_by_wildcards_and_with_regard_to_case(key: str, value: str, expected: bool) -> None:
    assert does_match(PATIENT_ID, "LO", key, value) is expected


def test_two_quotation_marks_match_entities_without_a_value() -> None:
    assert does_match(PATIENT_ID, "LO", '""', "")
    assert does_match(PATIENT_ID, "LO", '""', '""')
    assert not does_match(PATIENT_ID, "LO", '""', "1")
    assert does_match(STUDY_DATE, "DA", '""', "")


def test_an_entity_without_a_value_matches_no_value() -> None:
    for vr, key in (("LO", "1"), ("LO", "?*"), ("PN", "DUPONT*"), ("DA", "20240101-"), ("TM", "10-"), ("IS", "1")):
        assert not does_match(PATIENT_ID, vr, key, "")


@pytest.mark.parametrize(("vr", "key"), [("UI", "1.2.*"), ("DA", "2024*"), ("TM", "1?"), ("IS", "1*"), ("AS", "04?Y")])
def test_wildcards_where_there_are_none_are_refused(vr: str, key: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        compile_key(STUDY_DATE, Element(vr=vr, text=key), BASELINE)
    assert caught.value.tag == STUDY_DATE
    assert key not in str(caught.value)


def test_a_text_of_one_value_may_hold_a_backslash() -> None:
    assert does_match(IMAGE_COMMENTS, "LT", "a\\b", "a\\b")
    assert not does_match(IMAGE_COMMENTS, "LT", "a\\b", "b")


def test_no_pattern_takes_long() -> None:
    began_s = time.perf_counter()
    assert not parse_wildcard("*a" * 50 + "*b").matches("a" * 4000)
    assert not parse_wildcard("*?a?" * 50 + "b").matches("a" * 4000)
    assert time.perf_counter() - began_s < 1.0


def test_a_key_longer_than_any_value_is_refused() -> None:
    with pytest.raises(InvalidKey):
        compile_key(PATIENT_ID, Element(vr="LO", text="A" * (KEY_CHARACTERS_MAX + 1)), BASELINE)


def test_a_nul_inside_a_key_is_refused() -> None:
    with pytest.raises(InvalidKey):
        compile_key(PATIENT_ID, Element(vr="LO", text="A\0B"), BASELINE)


# --- UIDs, numbers, several values ---------------------------------------------------------------


def test_a_list_of_uids_matches_each_of_them() -> None:
    assert does_match(STUDY_INSTANCE_UID, "UI", "1.2.3\\1.2.4", "1.2.4")
    assert not does_match(STUDY_INSTANCE_UID, "UI", "1.2.3\\1.2.4", "1.2.5")
    assert not does_match(STUDY_INSTANCE_UID, "UI", "1.2.3", "1.2.33")


@pytest.mark.parametrize("key", ["1.2.x", "abc", "1" * 65])
def test_what_is_no_uid_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        compile_key(STUDY_INSTANCE_UID, Element(vr="UI", text=key), BASELINE)


def test_numbers_are_compared_by_value() -> None:
    for value in ("7", "+7", "007", " 7"):
        assert does_match(SERIES_NUMBER, "IS", "7", value.strip())
    assert does_match(ROWS, "US", "512", "512")
    assert does_match(PATIENT_ID, "DS", "70", "7.0e1")
    assert not does_match(SERIES_NUMBER, "IS", "7", "70")
    assert not does_match(SERIES_NUMBER, "IS", "7", "seven")


@pytest.mark.parametrize("key", ["seven", "NaN", "Infinity", "1e9999", "--1"])
def test_what_is_no_number_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        compile_key(SERIES_NUMBER, Element(vr="IS", text=key), BASELINE)


def test_one_of_several_values_of_an_entity_is_enough() -> None:
    assert does_match(MODALITIES_IN_STUDY, "CS", "MR", "CT\\MR")
    assert does_match(MODALITIES_IN_STUDY, "CS", "M*", "CT\\MR")
    assert not does_match(MODALITIES_IN_STUDY, "CS", "PT", "CT\\MR")
    assert not does_match(MODALITIES_IN_STUDY, "CS", "CT\\MR", "PT")


def test_several_values_of_a_key_are_alternatives_unless_negotiated_otherwise() -> None:
    assert does_match(MODALITIES_IN_STUDY, "CS", "CT\\PT", "CT\\MR")
    assert not does_match(MODALITIES_IN_STUDY, "CS", "CT\\PT", "CT\\MR", ALL_VALUES)
    assert does_match(MODALITIES_IN_STUDY, "CS", "MR\\CT", "CT\\MR\\SR", ALL_VALUES)
    # An attribute with one value cannot match two at once: these stay alternatives.
    assert does_match(PATIENT_ID, "LO", "A\\B", "B", ALL_VALUES)


# --- person names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("dupont^jean", "DUPONT^JEAN", True),
        ("LEFEVRE^ZOE", "Lefèvre^Zoë", True),
        ("Lefèvre^Zoë", "LEFEVRE^ZOE", True),
        ("DUPONT^JEAN^^^", "DUPONT^JEAN", True),
        ("DUPONT", "DUPONT^JEAN", False),
        ("DUPONT*", "DUPONT^JEAN", True),
        ("DUPONT*", "DUPOND^JEAN", False),
        ("DUPON?^*", "DUPOND^JEAN", True),
        ("DUPONT^*", "DUPONT", True),
        ("DUPONT^JEAN^*", "DUPONT^JEAN", True),
        ("DUPONT^J*^^DR", "DUPONT^JEAN^^Dr", True),
        ("*MARTIN", "SAINT-MARTIN", True),
        ("LE  GOFF^ANNE", "Le Goff^Anne", True),
        ("DE *VILLE*", "De la Ville^X", True),
        ("DE ?A VILLE*", "De la Ville^X", True),
        ("NU?EZ*", "NUÑEZ^Luis", True),
        ("YAMADA^TAROU", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("タロウ*", "Yamada^Tarou=山田^太郎=タロウ", True),
        ("=山田*", "Yamada^Tarou=山田^太郎", True),
        ("YAMADA*=鈴木*", "Yamada^Tarou=山田^太郎", False),
        ("YAMADA*=*", "Yamada^Tarou", True),
        ("*=山田*", "Yamada^Tarou", False),
        ("王^小東", "王^小東", True),
        ("Διονυσιος", "ΔΙΟΝΥΣΙΟΣ", True),
        ("Διονύσιος", "Διονυσιοσ", True),
        ("DUPONT^JEAN", "", False),
    ],
)
def test_names_match_without_regard_to_case_and_accents_by_component_group(
    key: str, value: str, expected: bool
) -> None:
    assert does_match(PATIENT_NAME, "PN", key, value) is expected


@pytest.mark.parametrize("key", ["*", "*=*", "*=*=*", "=", "^"])
def test_a_name_key_that_says_nothing_is_universal(key: str) -> None:
    assert compile_key(PATIENT_NAME, Element(vr="PN", text=key), BASELINE) is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("SWAIN", "Swayne^Mary", True),
        ("Smith^Mary", "Mary^Smith", True),
        ("Smith, Mary", "SMITH^MARY^ANN", True),
        ("Marry Smit", "SMITH^MARY", True),
        ("Smith^M", "SMITH^MARY", True),
        ("Smith^M", "SMITH^ANN", False),
        ("SMI*", "Smith^John", True),
        ("Catherine", "KATHERINE^X", True),
        ("山田", "Yamada=山田^太郎", True),
        ("DUPONT", "BERNARD^PAUL", False),
        ("DUPONT", "", False),
    ],
)
def test_fuzzy_names_match_by_words_in_any_order_and_by_sound(key: str, value: str, expected: bool) -> None:
    assert does_match(PATIENT_NAME, "PN", key, value, FUZZY) is expected


# --- dates and times -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("20240115", "20240115", True),
        ("2024.01.15", "20240115", True),
        ("20240115", "2024.01.15", True),
        ("20240101-20240131", "20240131", True),
        ("20240101-20240131", "20240201", False),
        ("20240101-", "20250101", True),
        ("20240101-", "20231231", False),
        ("-20240101", "20240101", True),
        ("-20240101", "20240102", False),
        ("-20240101", "", False),
        ("20240201-20240231", "20240229", True),
        ("20240101\\20240103", "20240103", True),
    ],
)
def test_dates_match_by_meaning_and_by_range(key: str, value: str, expected: bool) -> None:
    assert does_match(STUDY_DATE, "DA", key, value) is expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("2230", "223000", True),
        ("223000", "2230", True),
        ("22", "225959.9", True),
        ("2230", "223100", False),
        ("10-11", "115959", True),
        ("10-11", "120000", False),
        ("-0900", "000000", True),
        ("2200-", "235959.999999", True),
        ("2200-", "215959", False),
    ],
)
def test_times_match_by_meaning_and_by_range(key: str, value: str, expected: bool) -> None:
    assert does_match(STUDY_TIME, "TM", key, value) is expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("19980128103000.0000", "19980128103000", True),
        ("19980128103000", "19980128073000-0300", True),
        ("2024", "20240615", True),
        ("20240101-20240201", "20240201235959", True),
        ("20240101-20240131", "20240201003000+0100", True),
        ("20240101-20240131", "20240201003000", False),
    ],
)
def test_date_times_match_by_meaning_with_their_offsets(key: str, value: str, expected: bool) -> None:
    assert does_match(ACQUISITION_DATE_TIME, "DT", key, value) is expected


def test_keys_and_values_without_an_offset_are_each_in_their_own_zone() -> None:
    options = MatchingOptions(zone=UTC, key_zone=timezone(timedelta(hours=2)))
    assert does_match(ACQUISITION_DATE_TIME, "DT", "20240101020000", "20240101000000", options)
    assert not does_match(ACQUISITION_DATE_TIME, "DT", "20240101000000", "20240101000000", options)


@pytest.mark.parametrize(
    ("vr", "key"),
    [("DA", "20240131-20240101"), ("DA", "yesterday"), ("TM", "2200-0600"), ("TM", "noon"), ("DT", "2024-2023")],
)
def test_dates_and_times_without_meaning_are_refused(vr: str, key: str) -> None:
    with pytest.raises(InvalidKey):
        compile_key(STUDY_DATE, Element(vr=vr, text=key), BASELINE)


@pytest.mark.parametrize(
    ("date", "time_of_day", "expected"),
    [
        ("20060705", "095959", False),
        ("20060705", "100000", True),
        ("20060706", "030000", True),
        ("20060707", "1800", True),
        ("20060707", "180100", False),
        ("20060707", "", True),
        ("", "120000", False),
    ],
)
def test_combined_ranges_are_one_span_of_time(date: str, time_of_day: str, expected: bool) -> None:
    span = compile_date_time_span("20060705-20060707", "1000-1800")
    assert span is not None
    assert span.matches(date, time_of_day) is expected


def test_a_combined_range_may_begin_later_in_its_day_than_it_ends() -> None:
    span = compile_date_time_span("20240101-20240102", "2200-0600")
    assert span is not None
    assert span.matches("20240102", "0300")
    assert not span.matches("20240101", "0300")


def test_combined_ranges_may_be_open_at_the_same_end() -> None:
    after = compile_date_time_span("20240101-", "1200-")
    before = compile_date_time_span("-20240101", "-1200")
    assert after is not None
    assert before is not None
    assert after.matches("20240102", "0100")
    assert not after.matches("20240101", "1159")
    assert before.matches("20231231", "2300")
    assert not before.matches("20240101", "1201")


@pytest.mark.parametrize(
    ("dates", "times"),
    [("20240101", "10-11"), ("20240101-20240102", "10"), ("20240101-", "-10"), ("20240101-", "10-11")],
)
def test_ranges_of_different_form_are_not_combined(dates: str, times: str) -> None:
    assert compile_date_time_span(dates, times) is None


def test_a_combined_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(NotATime):
        compile_date_time_span("20240101-20240101", "1800-1000")


# --- sequences -----------------------------------------------------------------------------------


def _sequence_key(*items: dict[int, Element]) -> Element:
    return Element(vr="SQ", items=items)


def test_an_entity_matches_when_one_of_its_items_matches_all_item_keys() -> None:
    key = _sequence_key(
        {
            REQUESTED_PROCEDURE_ID: Element(vr="SH", text="P1"),
            STUDY_DESCRIPTION: Element(vr="LO", text="HEAD*"),
        }
    )
    matcher = compile_key(REQUEST_ATTRIBUTES_SEQUENCE, key, BASELINE)
    assert isinstance(matcher, SequenceMatch)

    def item(procedure: str, description: str) -> dict[int, Element]:
        return {
            REQUESTED_PROCEDURE_ID: Element(vr="SH", text=procedure),
            STUDY_DESCRIPTION: Element(vr="LO", text=description),
        }

    assert matcher.matches_items([item("P2", "HEAD"), item("P1", "HEAD CT")])
    assert not matcher.matches_items([item("P1", "CHEST"), item("P2", "HEAD")])
    assert not matcher.matches_items([])


def test_sequences_in_sequences_are_matched_by_their_items() -> None:
    key = _sequence_key({SCHEDULED_PROTOCOL_CODE_SEQUENCE: _sequence_key({CODE_VALUE: Element(vr="SH", text="C1")})})
    matcher = compile_key(REQUEST_ATTRIBUTES_SEQUENCE, key, BASELINE)
    assert isinstance(matcher, SequenceMatch)
    code = {CODE_VALUE: Element(vr="SH", text="C1")}
    assert matcher.matches_item({SCHEDULED_PROTOCOL_CODE_SEQUENCE: Element(vr="SQ", items=(code,))})
    assert not matcher.matches_item({SCHEDULED_PROTOCOL_CODE_SEQUENCE: Element(vr="SQ", items=())})


@pytest.mark.parametrize(
    "key",
    [
        _sequence_key(),
        _sequence_key({}),
        _sequence_key({CODE_VALUE: Element(vr="SH")}),
        _sequence_key({CODE_VALUE: Element(vr="SH", text="*")}),
    ],
)
def test_a_sequence_key_without_item_keys_is_universal(key: Element) -> None:
    assert compile_key(REQUEST_ATTRIBUTES_SEQUENCE, key, BASELINE) is None


def test_a_sequence_key_with_two_items_is_refused() -> None:
    with pytest.raises(InvalidKey):
        compile_key(REQUEST_ATTRIBUTES_SEQUENCE, _sequence_key({}, {}), BASELINE)


def test_sequence_keys_nested_without_end_are_refused() -> None:
    key = Element(vr="SH", text="x")
    for _ in range(KEY_DEPTH_MAX + 2):
        key = _sequence_key({REQUEST_ATTRIBUTES_SEQUENCE: key})
    with pytest.raises(InvalidKey):
        compile_key(REQUEST_ATTRIBUTES_SEQUENCE, key, BASELINE)


def test_ages_match_exactly() -> None:
    assert does_match(PATIENT_AGE, "AS", "045Y", "045Y")
    assert not does_match(PATIENT_AGE, "AS", "045Y", "540M")
