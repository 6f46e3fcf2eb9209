"""Protocols as documents and tables: what is written is read again, what is wrong is refused with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.language import Language
from oncall.protocol.documents import protocol_to_json, protocols_from_json
from oncall.protocol.library import packaged
from oncall.protocol.tables import COLUMNS, protocols_from_table, protocols_to_table
from oncall.strict_json import DocumentInvalid, parse
from tests.unit.oncall.protocol.protocols import protocol

SMALL: dict[str, Any] = {
    "format": "telegarde-protocol/1",
    "protocol_id": "own",
    "version": "1",
    "language": "en",
    "title": "Own",
    "modality": "CT",
    "phases": [{"phase_id": "native", "name": "Native", "kind": "native"}],
}


HEAD = "protocol_id,version,language,title,modality,phase_id,name,kind"


def read(**changes: Any) -> Any:
    document = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
    return protocols_from_json(parse(json.dumps(document)))


@pytest.mark.parametrize("one", packaged(), ids=lambda one: f"{one.protocol_id}-{one.language}")
def test_what_is_written_is_read_again_as_the_same_protocol(one: Any) -> None:
    assert protocols_from_json(parse(json.dumps(protocol_to_json(one)))) == (one,)


def test_the_whole_library_goes_through_a_table_and_back() -> None:
    assert protocols_from_table(protocols_to_table(packaged())) == packaged()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modality": "ct"}, "document.modality"),
        ({"format": "telegarde-template/1"}, "document.format"),
        ({"phases": []}, "phases: at least one"),
        ({"phases": [SMALL["phases"][0], SMALL["phases"][0]]}, "native is there twice"),
        ({"phases": [{"phase_id": "p", "name": "P", "kind": "portal"}]}, "contrast: is missing"),
        ({"contrast": {"kind": "iodinated", "agent": "Iodine"}}, "no phase is with contrast"),
        ({"phases": [{"phase_id": "p", "name": "P", "kind": "native", "kv": 1200}]}, "phases[0].kv"),
        ({"phases": [{"phase_id": "p", "name": "P", "kind": "native", "speed": 1}]}, "phases[0].speed"),
        ({"protocol_id": "a:b"}, "document.protocol_id"),
        ({"language": None}, "one language, or languages"),
        ({"languages": ["fr", "en"]}, "one language, or languages"),
        ({"language": None, "languages": ["fr", "en"], "title": {"fr": "Seul"}}, "a text for each of en, fr"),
    ],
)
def test_what_is_no_protocol_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        read(**changes)
    assert said in str(refused.value)


def test_one_document_in_two_languages_makes_two_protocols() -> None:
    found = read(language=None, languages=["fr", "en"], title={"fr": "Le mien", "en": "Mine"})
    assert [(one.language, one.title) for one in found] == [(Language.FRENCH, "Le mien"), (Language.ENGLISH, "Mine")]


def test_a_table_of_a_french_spreadsheet_is_read() -> None:
    head = "protocol_id;version;language;title;modality;phase_id;name;kind;slice_mm;words;is_optional"
    first = "own;1;fr;Le mien;CT;sans;Sans injection;native;1,25;sans iv|native;non"
    second = "own;1;fr;;;tardif;Tardif;native;;;oui"
    (found,) = protocols_from_table("\ufeff" + "\r\n".join([head, first, "", second, ""]))
    assert (found.title, found.phases[0].slice_mm, found.phases[0].words) == ("Le mien", 1.25, ("sans iv", "native"))
    assert [one.is_optional for one in found.phases] == [False, True]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("protocol_id,version,language,name,kind\n", "the column phase_id is missing"),
        ("protocol_id,version,language,phase_id,name,kind,colour\n", "no such column 'colour'"),
        ("protocol_id,version,language,phase_id,name,kind\n", "at least one phase"),
        ("protocol_id,version,language,phase_id,name,kind\no,1,en,a,A,native,x\n", "line 2: more cells"),
        (f"{HEAD}\no,1,en,T,CT,a,A,native\no,1,en,U,CT,b,B,native\n", "line 3: title is another one"),
        (f"{HEAD},kv\no,1,en,T,CT,a,A,native,many\n", "line 2: kv: a number"),
        (f"{HEAD}\no,1,en,T,CT,a,A,plain\n", "line 2.phases[0].kind"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(table: str, said: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        protocols_from_table(table)
    assert said in str(refused.value)


CELLS = st.text(alphabet="abc;,\"'|\n\r =+-é0123456789", max_size=12)


@given(rows=st.lists(st.lists(CELLS, max_size=8), max_size=5), columns=st.permutations(COLUMNS))
def test_no_table_makes_anything_but_protocols_or_a_refusal(rows: list[list[str]], columns: list[str]) -> None:
    text = "\n".join(",".join(cells) for cells in [list(columns), *rows])
    try:
        found = protocols_from_table(text)
    except DocumentInvalid:
        return
    assert protocols_from_table(protocols_to_table(found)) == found


def test_cells_with_quotes_separators_and_line_feeds_come_back_as_they_were() -> None:
    whole = protocol_to_json(protocol("ct-pe"))
    whole |= {"title": 'A "large" one; or two, really', "instructions": "First.\nThen."}
    (odd,) = protocols_from_json(parse(json.dumps(whole)))
    assert protocols_from_table(protocols_to_table([odd])) == (odd,)
