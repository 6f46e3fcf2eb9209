"""What was performed against what was asked: nothing certain is passed over, nothing uncertain called a deviation."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.language import Language
from oncall.protocol.comparison import DeviationKind, compare, deviations
from oncall.protocol.library import packaged
from oncall.protocol.model import SentProtocol
from oncall.protocol.performed import Performed
from tests.unit.oncall.protocol.protocols import performed, sent, series

WHOLE = ("Topogram", "ABDO SANS IV", "ABDO ARTERIEL", "ABDO PORTAL 75s")


def kinds(asked: SentProtocol, done: Performed) -> list[tuple[str, str]]:
    return [(one.kind.value, one.phase_id) for one in deviations(asked, done)]


def test_an_exam_as_it_was_asked_for_has_no_deviation() -> None:
    done = performed(*WHOLE, is_over=True)
    assert deviations(sent(), done) == ()
    seen = {phase.phase_id: [one.description for one in found] for phase, found in compare(sent(), done).seen}
    assert seen == {"native": ["ABDO SANS IV"], "arterial": ["ABDO ARTERIEL"], "portal": ["ABDO PORTAL 75s"]}


def test_a_phase_is_missing_when_the_exam_is_over_and_not_while_it_goes_on() -> None:
    done = performed(*WHOLE[:3])
    assert deviations(sent(), done) == ()
    assert kinds(sent(), done.ended()) == [("phase_missing", "portal")]


@pytest.mark.parametrize(
    ("description", "phase_id"),
    [
        ("ABDO Sans Injection", "native"),
        ("C- ABDOMEN", "native"),
        ("ABD/PEL W/O", "native"),
        ("abdomen artériel précoce", "arterial"),
        ("ABDO ART 1.25", "arterial"),
        ("Abdomen Venous 70 s", "portal"),
        ("TEMPS PORTE", "portal"),
    ],
)
def test_the_words_of_scanners_in_both_languages_name_their_phase(description: str, phase_id: str) -> None:
    found = compare(sent(), performed(description))
    assert [phase.phase_id for phase, one in found.seen if one] == [phase_id]


def test_a_series_without_contrast_is_never_taken_for_a_phase_with_contrast() -> None:
    asked = sent("ct-abdomen")
    found = compare(asked, performed("ABDO SANS IV", "ABDO PORTAL SANS INJ"))
    assert all(not one for _, one in found.seen)
    assert [one.description for one in found.unrecognised] == ["ABDO SANS IV", "ABDO PORTAL SANS INJ"]
    assert ("phase_missing", "portal") in kinds(asked, performed("ABDO SANS IV", is_over=True))


def test_a_series_that_nobody_recognises_is_shown_and_stands_for_one_missing_phase_only() -> None:
    done = performed("ABDO SANS IV", "Helice 2", is_over=True)
    assert [one.description for one in compare(sent(), done).unrecognised] == ["Helice 2"]
    assert kinds(sent(), done) == [("phase_missing", "portal")]


def test_reconstructions_maps_and_localizers_are_no_acquisition() -> None:
    done = performed("MPR COR PORTAL", "CBF", "Scout", "Smartprep ARTERIEL", "Dose Report", is_over=True)
    assert compare(sent(), done).unrecognised == ()
    assert kinds(sent(), done) == [("phase_missing", one) for one in ("native", "arterial", "portal")]


def test_an_optional_phase_is_missed_by_nobody() -> None:
    asked = sent("ct-polytrauma")
    done = Performed(
        series=(
            series("CRANE SANS IV", 1, length_mm=300.0),
            series("TAP ARTERIEL", 2, length_mm=640.0),
            series("ABDO PORTAL", 3),
        ),
        is_over=True,
    )
    assert deviations(asked, done) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"slice_mm": 5.0}, DeviationKind.SLICE_TOO_THICK, ("1.25 mm", "5 mm")),
        ({"length_mm": 200.0}, DeviationKind.COVERAGE_TOO_SHORT, ("380 mm", "200 mm")),
        ({"kv": 140.0}, DeviationKind.KV_DIFFERS, ("100 kV", "140 kV")),
    ],
)
def test_how_a_phase_was_acquired_is_compared_as_soon_as_it_is_whole(
    changes: dict[str, Any], kind: DeviationKind, said: tuple[str, str]
) -> None:
    done = Performed(series=(series("ABDO ARTERIEL", **changes),))
    (found,) = deviations(sent(), done)
    assert (found.kind, found.phase_id, found.asked, found.performed) == (kind, "arterial", *said)


@pytest.mark.parametrize("changes", [{"slice_mm": 5.0}, {"length_mm": 200.0}])
def test_a_series_that_still_grows_is_not_judged_by_its_size(changes: dict[str, Any]) -> None:
    done = Performed(series=(series("ABDO ARTERIEL", is_settled=False, **changes),))
    assert deviations(sent(), done) == ()


def test_of_two_reconstructions_of_a_phase_the_better_one_counts() -> None:
    thick, thin = series("ABDO ARTERIEL 5", 1, slice_mm=5.0), series("ABDO ARTERIEL 1.25", 2)
    assert deviations(sent(), Performed(series=(thick, thin))) == ()


def test_contrast_that_nobody_asked_for_is_said_while_the_patient_is_on_the_table() -> None:
    asked = sent("ct-renal-colic")
    assert kinds(asked, Performed(series=(series("ABDO PELVIS", has_contrast=True),))) == [("contrast_unasked", "")]
    # Scanners name the agent of the next series before it is given.
    assert kinds(asked, Performed(series=(series("ABDO SANS IV", has_contrast=True),))) == []


def test_another_program_than_the_one_asked_for_is_told_by_codes_of_the_same_scheme_only() -> None:
    asked = sent("ct-pe")
    own = Performed(codes=(("ABD-ROUTINE", "99SCANNER"),))
    assert deviations(asked, own) == ()
    (found,) = deviations(asked, Performed(codes=(("CT-ABDOMEN", "99TELEGARDE"),)))
    assert (found.kind, found.asked, found.performed) == (DeviationKind.PROTOCOL_DIFFERS, "CT-PE", "CT-ABDOMEN")


def test_another_modality_than_the_one_asked_for_is_a_deviation() -> None:
    done = Performed(series=(series("AX T2", modality="MR"),))
    assert ("modality_differs", "") in kinds(sent("ct-head-trauma"), done)


def test_a_protocol_in_words_has_no_deviation_that_a_program_could_see() -> None:
    asked = replace(sent(), phases=(), contrast=None, text="Thorax jusqu'aux surrénales")
    assert deviations(asked, performed("SOMETHING ELSE", is_over=True)) == ()


def test_a_deviation_of_another_version_is_another_deviation() -> None:
    done = performed(*WHOLE[:3], is_over=True)
    first, second = (deviations(sent(version=number), done)[0].deviation_id for number in (1, 2))
    assert (first, second) == ("1:phase_missing:portal", "2:phase_missing:portal")


def test_every_phase_of_the_library_is_named_by_each_of_its_own_words() -> None:
    unnamed = []
    for one in packaged():
        if one.language is not Language.ENGLISH:
            continue
        asked = sent(one.protocol_id)
        for phase in one.phases:
            for word in phase.words:
                found = compare(asked, performed(word, modality=one.modality))
                named = [seen.phase_id for seen, what in found.seen if what]
                if not named:
                    unnamed.append((one.protocol_id, phase.phase_id, word))
    assert unnamed == []


WORDS = st.sampled_from(
    ["ABDO", "SANS", "IV", "ARTERIEL", "PORTAL", "Scout", "C+", "c-", "éè", "70s", "W/O", "contrast", "", "\n", "∞"]
)
DESCRIPTIONS = st.lists(WORDS, max_size=4).map(" ".join)


@given(descriptions=st.lists(DESCRIPTIONS, max_size=6), is_over=st.booleans(), name=st.sampled_from(sorted(
    {one.protocol_id for one in packaged()}
)))  # fmt: skip
def test_whatever_a_scanner_calls_its_series_each_counts_once_and_more_series_miss_no_more(
    descriptions: list[str], is_over: bool, name: str
) -> None:
    asked, done = sent(name), performed(*descriptions, is_over=is_over)
    compared = compare(asked, done)
    placed = [one.series_instance_uid for _, found in compared.seen for one in found]
    placed += [one.series_instance_uid for one in compared.unrecognised]
    assert len(placed) == len(set(placed)) <= len(descriptions)

    def missing(what: Performed) -> set[str]:
        return {one.phase_id for one in deviations(asked, what) if one.kind is DeviationKind.PHASE_MISSING}

    names = [one.deviation_id for one in deviations(asked, done)]
    assert len(names) == len(set(names))
    if not is_over:
        assert missing(done) == set()
    more = performed(*descriptions, "unheard of", is_over=is_over)
    assert missing(more) <= missing(done)
