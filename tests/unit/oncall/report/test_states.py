"""The report's state table cell by cell, and what histories of versions say."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import PeerError
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.report import states
from oncall.report.canonical import digest_of
from oncall.report.states import Standing, Step, VersionRefused, Wanted
from oncall.report.version import ReportVersion, Signature, SignedVersion, VersionKind
from tests.harness import reports

K = VersionKind
# Rows: where the report is; columns: what happens. A dot is a refusal.
_COLUMNS: Final = "drafted preliminary final addendum replacement retraction"
_TABLE: Final = """
nothing      draft        preliminary  final  .         .            .
draft        draft        preliminary  final  .         .            .
preliminary  preliminary  preliminary  final  .         .            retraction
final        final        .            .      addendum  replacement  retraction
addendum     addendum     .            .      addendum  replacement  retraction
replacement  replacement  .            .      addendum  replacement  retraction
retraction   retraction   preliminary  final  .         .            .
"""
_CELLS: Final = [
    pytest.param(row.split()[0], step, cell, id=f"{row.split()[0]}-{step}")
    for row in _TABLE.strip().splitlines()
    for step, cell in zip(_COLUMNS.split(), row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("standing", "step", "expected"), _CELLS)
def test_each_cell_of_the_table_is_as_written_here(standing: str, step: str, expected: str) -> None:
    if expected == ".":
        with pytest.raises(VersionRefused, match=f"no {step} of a report that is at {standing}: .{{20}}"):
            states.after(Standing(standing), Step(step))
    else:
        assert states.after(Standing(standing), Step(step)) == expected


def test_every_standing_and_step_is_in_the_table_above() -> None:
    assert len(_CELLS) == len(Standing) * len(Step)
    assert {kind.value for kind in K} == {step.value for step in Step} - {Step.DRAFTED.value}


def wanted(kind: VersionKind, reason: str = "dit par le senior", **changed: object) -> Wanted:
    values: dict[str, object] = {
        "case_id": CaseId("case-1"),
        "kind": kind,
        "content": reports.content(),
        "author": reports.AUTHOR,
        "signed_at": reports.SIGNED_AT,
        "patient_key": "patient-1",
        "reason": reason,
    }
    return Wanted(**{**values, **changed})  # type: ignore[arg-type]  # a test names what differs


def signed(version: ReportVersion) -> SignedVersion:
    nobody = Signature(algorithm="none", key_id="x#y", public_key=b"", value=b"")
    return SignedVersion(version=version, digest=digest_of(version), signature=nobody)


def history(*kinds: VersionKind) -> list[SignedVersion]:
    made: list[SignedVersion] = []
    for number, kind in enumerate(kinds, start=1):
        made.append(signed(states.following(made, wanted(kind, content=reports.content(title=f"v{number}")))))
    return made


def versions(*kinds: VersionKind) -> list[ReportVersion]:
    return [one.version for one in history(*kinds)]


@pytest.mark.parametrize(
    ("kinds", "standing", "gone", "has_final"),
    [
        pytest.param([], [], [], False, id="nothing"),
        pytest.param([K.PRELIMINARY], [1], [], False, id="preliminary"),
        pytest.param([K.PRELIMINARY, K.PRELIMINARY], [1, 2], [], False, id="two findings"),
        pytest.param([K.PRELIMINARY, K.FINAL], [2], [], True, id="final after preliminary"),
        pytest.param([K.FINAL, K.ADDENDUM, K.ADDENDUM], [1, 2, 3], [], True, id="addenda beside the original"),
        pytest.param([K.FINAL, K.ADDENDUM, K.REPLACEMENT], [3], [], True, id="replacement"),
        pytest.param([K.FINAL, K.REPLACEMENT, K.ADDENDUM], [2, 3], [], True, id="addendum to a replacement"),
        pytest.param([K.FINAL, K.ADDENDUM, K.RETRACTION], [], [1, 2], False, id="retraction"),
        pytest.param([K.FINAL, K.RETRACTION, K.FINAL], [3], [1], True, id="read again"),
        pytest.param([K.PRELIMINARY, K.RETRACTION], [], [1], False, id="preliminary withdrawn"),
        pytest.param([K.FINAL, K.RETRACTION, K.PRELIMINARY], [3], [1], False, id="preliminary after retraction"),
    ],
)
def test_what_stands_and_what_is_withdrawn(
    kinds: list[VersionKind], standing: list[int], gone: list[int], has_final: bool
) -> None:
    made = versions(*kinds)

    assert [one.version for one in states.in_force(made)] == standing
    assert sorted(states.withdrawn(made)) == gone
    assert states.has_final(made) is has_final


def test_a_replacement_names_the_report_and_a_retraction_the_newest_version() -> None:
    replaced = versions(K.FINAL, K.ADDENDUM, K.REPLACEMENT)
    retracted = versions(K.FINAL, K.ADDENDUM, K.RETRACTION)

    assert [one.replaces for one in replaced] == [None, None, 1]
    assert [one.replaces for one in retracted] == [None, None, 2]


@pytest.mark.parametrize("kind", [K.ADDENDUM, K.REPLACEMENT, K.RETRACTION])
def test_a_change_of_a_signed_report_says_why(kind: VersionKind) -> None:
    with pytest.raises(PeerError, match="says why"):
        states.following(history(K.FINAL), wanted(kind, reason=" "))


def test_the_same_words_signed_again_are_the_version_that_there_is() -> None:
    made = [signed(states.following([], wanted(K.FINAL)))]

    assert states.repeated(made, wanted(K.FINAL)) is made[0]
    assert states.repeated(made, wanted(K.FINAL, content=reports.content(results="other"))) is None
    assert states.repeated(made, wanted(K.FINAL, author=replace(reports.AUTHOR, person_id=PersonId("other")))) is None


def test_words_that_were_withdrawn_are_a_new_version_when_signed_again() -> None:
    made = [signed(states.following([], wanted(K.FINAL)))]
    made.append(signed(states.following(made, wanted(K.RETRACTION))))

    assert states.repeated(made, wanted(K.FINAL)) is None
    assert states.repeated(made, wanted(K.RETRACTION)) is made[1]
    assert states.following(made, wanted(K.FINAL)).version == 3


@given(steps=st.lists(st.sampled_from(K), max_size=12))
def test_histories_only_grow_and_hide_nothing(steps: list[VersionKind]) -> None:
    made: list[SignedVersion] = []
    for number, kind in enumerate(steps):
        before = list(made)
        try:
            made.append(signed(states.following(made, wanted(kind, content=reports.content(title=str(number))))))
        except VersionRefused:
            continue
        shown = [one.version for one in made]
        assert made[:-1] == before
        states.ensure_history(made)
        standing = states.in_force(shown)
        if kind is K.ADDENDUM:
            assert standing[-1].version == len(made)
            assert standing[0].kind in {K.FINAL, K.REPLACEMENT}
            assert set(states.in_force([one.version for one in before])) < set(standing)
        if kind is K.RETRACTION:
            assert not standing
            assert len(states.withdrawn(shown)) == sum(one.kind is not K.RETRACTION for one in shown)
        if states.has_final(shown):
            assert all(one.kind is not K.PRELIMINARY for one in standing)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_history_without_one_of_its_versions_is_noticed(place: int) -> None:
    made = history(K.PRELIMINARY, K.FINAL, K.ADDENDUM, K.RETRACTION)
    del made[place]

    with pytest.raises(VersionRefused):
        states.ensure_history(made)


def test_versions_that_changed_places_are_noticed() -> None:
    made = history(K.FINAL, K.ADDENDUM, K.ADDENDUM)

    with pytest.raises(VersionRefused, match="version 3 is not what was signed after version 1"):
        states.ensure_history([made[0], made[2], made[1]])


def test_a_version_of_another_case_is_noticed() -> None:
    made = history(K.FINAL)
    other = states.following(made, wanted(K.ADDENDUM, case_id=CaseId("case-2")))

    with pytest.raises(VersionRefused, match="version 2"):
        states.ensure_history([*made, signed(other)])


def test_a_retraction_that_names_another_version_is_noticed() -> None:
    made = history(K.FINAL, K.ADDENDUM, K.RETRACTION)
    made[2] = signed(replace(made[2].version, replaces=1))

    with pytest.raises(VersionRefused, match="does not name"):
        states.ensure_history(made)


def test_the_signers_of_what_stands_are_those_asked_about_it() -> None:
    made = history(K.FINAL)
    other = replace(reports.AUTHOR, person_id=PersonId("dr-roux"))
    made.append(signed(states.following(made, wanted(K.ADDENDUM, author=other))))

    assert states.signers_of([one.version for one in made]) == {"dr-lefevre", "dr-roux"}
