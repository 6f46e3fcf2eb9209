"""The text that is signed: equal for equal versions, read back exactly, another for anything that differs."""

import json
import math
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import PeerError
from foundation.instants import instant_of_us
from oncall.language import Language
from oncall.report import canonical
from oncall.report.content import CHARACTERS_MAX, Answer, Dose, ReportContent
from oncall.report.version import ReportVersion, VersionKind
from oncall.strict_json import DocumentInvalid, Value, parse
from tests.harness import reports

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_ANSWERS = st.builds(
    Answer,
    field_id=st.just("field"),
    label=_TEXT,
    value=st.one_of(
        _TEXT,
        st.booleans(),
        st.integers(-(10**12), 10**12),
        st.floats(allow_nan=False, allow_infinity=False),
        st.tuples(_TEXT, _TEXT),
    ),
    unit=_TEXT,
)
_CONTENTS = st.builds(
    ReportContent,
    language=st.sampled_from(Language),
    title=_TEXT,
    results=_TEXT,
    conclusion=_TEXT,
    answers=st.lists(_ANSWERS, max_size=3).map(tuple),
    doses=st.lists(
        st.builds(Dose, quantity=st.just("DLP"), value=st.floats(0, 1e6) | st.integers(0, 900), unit=_TEXT), max_size=2
    ).map(tuple),
)


def test_a_version_is_read_back_as_it_was_written() -> None:
    whole = reports.version(
        kind=VersionKind.REPLACEMENT, version=3, replaces=2, reason="mauvais côté", previous_digest="ab" * 32
    )

    assert canonical.from_json(parse(canonical.version_bytes(whole))) == whole


@given(content=_CONTENTS, at_us=st.integers(0, 2**52))
def test_whatever_is_written_keeps_its_digest_when_read_back(content: ReportContent, at_us: int) -> None:
    written = reports.version(content=content, signed_at=instant_of_us(at_us))

    read = canonical.from_json(parse(canonical.version_bytes(written)))

    assert read == written
    assert canonical.digest_of(read) == canonical.digest_of(written)


def _other(value: object) -> object:
    match value:
        case str():
            return {VersionKind.FINAL: VersionKind.ADDENDUM}.get(value, value + "x")  # type: ignore[call-overload]
        case int():
            return value + 1
        case datetime():
            return value + timedelta(microseconds=1)
        case None:
            return 1
        case tuple():
            return value[:-1]
    return replace(value, **{"title" if isinstance(value, ReportContent) else "name": "x"})  # type: ignore[type-var]


@pytest.mark.parametrize("name", [field.name for field in fields(ReportVersion)])
def test_no_field_changes_without_another_digest(name: str) -> None:
    whole = reports.version()
    changed = reports.version(**{name: _other(getattr(whole, name))})

    assert changed != whole
    assert canonical.digest_of(changed) != canonical.digest_of(whole)


@pytest.mark.parametrize("name", [field.name for field in fields(ReportContent)])
def test_no_part_of_a_content_changes_without_another_digest(name: str) -> None:
    whole = reports.content()
    value = getattr(whole, name)
    changed = reports.content(**{name: Language.ENGLISH if name == "language" else _other(value)})

    assert canonical.content_digest(changed) != canonical.content_digest(whole)


def test_a_whole_dose_and_the_same_with_a_point_are_one_text() -> None:
    one, other = (reports.content(doses=(Dose(quantity="DLP", value=dlp, unit="mGy.cm"),)) for dlp in (5, 5.0))

    assert canonical.content_digest(one) == canonical.content_digest(other)


def test_texts_are_kept_as_written_without_normalisation() -> None:
    composed, decomposed = reports.content(results="é"), reports.content(results="e\u0301")

    assert canonical.content_digest(composed) != canonical.content_digest(decomposed)


def test_unknown_keys_of_a_version_are_refused() -> None:
    document = json.loads(canonical.version_bytes(reports.version()))

    with pytest.raises(DocumentInvalid, match="no such key"):
        canonical.from_json(Value(place="version", raw={**document, "verion": 1}))
    del document["patient_key"]
    with pytest.raises(DocumentInvalid, match="is missing"):
        canonical.from_json(Value(place="version", raw=document))


def test_a_content_needs_only_language_and_title() -> None:
    read = canonical.content_from_json(parse('{"language": "en", "title": "CT head"}'))

    assert read == ReportContent(language=Language.ENGLISH, title="CT head")


def test_a_signed_version_is_read_back_with_its_proof(tmp_path: Path) -> None:
    signed = replace(reports.signed(tmp_path), time_stamp=b"\x30\x00")

    read = canonical.signed_from_json(parse(json.dumps(canonical.signed_to_json(signed))))

    assert read == signed


def test_a_report_of_sixty_thousand_characters_is_signable() -> None:
    long = reports.content(results="é" * 60_000)

    canonical.check_content(long)
    whole = reports.version(content=long)
    assert canonical.from_json(parse(canonical.version_bytes(whole))) == whole


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(reports.content(results="x" * (CHARACTERS_MAX + 1)), "at most 200000", id="too long"),
        pytest.param(reports.content(results="a\x00b"), "control character", id="nul"),
        pytest.param(reports.content(conclusion="a\x85b"), "control character", id="c1"),
        pytest.param(reports.content(title="\ud83d"), "control character", id="half a character"),
        pytest.param(
            reports.content(answers=(Answer(field_id="a", label="\x1b[2J", value=1),)), "control", id="in a label"
        ),
        pytest.param(
            reports.content(doses=(Dose(quantity="DLP", value=math.nan, unit=""),)), "no number", id="not a number"
        ),
        pytest.param(
            reports.content(answers=(Answer(field_id="a", label="a", value=math.inf),)), "no number", id="infinite"
        ),
    ],
)
def test_what_no_document_can_hold_is_refused(content: ReportContent, rule: str) -> None:
    with pytest.raises(PeerError, match=rule):
        canonical.check_content(content)


def test_line_feeds_and_tabs_are_text() -> None:
    canonical.check_content(reports.content(results="first\nsecond\tcolumn"))
