"""`docs/conformance.md` is what the code does: it is up to date, it renders, and what it says can be carried out.

The statement is read as its readers see it, through a Markdown parser, and its tables are driven: every SOP Class and
transfer syntax in them is negotiated, every key is asked for, every default is read.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # public, but pydicom lists no re-exports

from pacs.archive.attributes import Level
from pacs.archive.matching import InvalidKey, MatchingOptions
from pacs.archive.query_plan import Model, Origin, Query, plan_query
from pacs.archive.query_values import Element
from pacs.scp.access import AccessRules, Call, Load, Rejected, decide
from pacs.scp.presentation import (
    MESSAGE_TRANSFER_SYNTAXES,
    SERVICE_SOP_CLASSES,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    PresentationPolicy,
)
from pacs.scp.services import Rights
from pacs.status import Status
from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    PresentationContextProposal,
    UserInformation,
)
from pacs.upper_layer.limits import PRESENTATION_CONTEXTS_MAX
from pacs.upper_layer.negotiation import negotiate
from territory import conformance
from territory.conformance_markdown import table as written_table
from territory.conformance_settings import TABLES
from territory.conformance_statuses import compare
from territory.settings_reader import keys_of, reader_of
from tests.architecture.sources import ROOT

STATEMENT = ROOT / "docs" / "conformance.md"
EVERYTHING = Rights(
    may_store=True, may_query=True, may_retrieve=True, may_commit=True, may_worklist=True, may_workitems=True,
    move_destinations=None, issuer="NORTH",
)  # fmt: skip
NOTHING = Rights(may_store=False, may_query=False, may_retrieve=False, move_destinations=None, issuer="NORTH")
POLICY = PresentationPolicy(private_sop_classes=[])


# --- reading the statement ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as rendered: the section and caption it stands under, and its cells as text."""

    section: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, heading: str) -> list[str]:
        """Return the cells under a heading."""
        position = self.headings.index(heading)
        return [row[position] for row in self.rows]

    def records(self) -> list[dict[str, str]]:
        """Return each row by heading."""
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]


@cache
def text() -> str:
    return STATEMENT.read_text()


@cache
def tokens() -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text())


def shown(inline: Token) -> str:
    """Return what a reader sees of inline Markdown."""
    return "".join(" " if child.type == "softbreak" else child.content for child in inline.children or ())


@cache
def tables() -> tuple[Table, ...]:
    found: list[Table] = []
    section = caption = ""
    cells: list[list[str]] = []
    stream = tokens()
    for position, token in enumerate(stream):
        if token.type == "heading_open":
            section, caption = shown(stream[position + 1]), ""
        elif token.type == "paragraph_open":
            caption = shown(stream[position + 1])
        elif token.type == "table_open":
            cells = []
        elif token.type == "tr_open":
            cells.append([])
        elif token.type in {"th_open", "td_open"}:
            cells[-1].append(shown(stream[position + 1]))
        elif token.type == "table_close":
            heading, *rows = (tuple(row) for row in cells)
            found.append(Table(section=section, caption=caption, headings=heading, rows=tuple(rows)))
    return tuple(found)


def the_table(section: str, *, caption: str = "") -> Table:
    """Return the one table of a section whose caption holds some words."""
    (only,) = [one for one in tables() if one.section.split()[0] == section and caption in one.caption]
    return only


def headings() -> list[tuple[int, str]]:
    return [
        (int(token.tag[1]), shown(tokens()[position + 1]))
        for position, token in enumerate(tokens())
        if token.type == "heading_open"
    ]


# --- up to date -----------------------------------------------------------------------------------


def test_the_committed_statement_is_what_the_code_says_now() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "territory.conformance", "--check"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


def test_the_statement_is_the_same_on_every_machine() -> None:
    # One processor, another order of sets, no optional decoder, and a library that adds to pydicom's registry.
    elsewhere = (
        "import importlib.util, os, sys, pynetdicom\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'imagecodecs' else find(name, package)\n"
        "from territory.conformance import statement\n"
        "sys.stdout.write(statement())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", elsewhere],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == text()


def test_a_statement_that_is_out_of_date_fails_the_check_and_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "conformance.md"
    file.write_text(text().replace("65,535", "65,536"))

    assert conformance.main(["--check", "--file", str(file)]) == 1
    assert "out of date" in capsys.readouterr().err
    assert file.read_text() != text()
    assert conformance.main(["--file", str(file)]) == 0
    assert conformance.main(["--check", "--file", str(file)]) == 0


@pytest.mark.parametrize(
    ("template", "facts"),
    [("## 1 One\n{{known}} {{unknown}}\n", {"known": "1"}), ("## 1 One\n", {"forgotten": "1"})],
    ids=["a fact that is not there", "a fact that is not shown"],
)
def test_a_template_that_does_not_fit_its_facts_is_refused(template: str, facts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="facts"):
        conformance.filled(template, facts)


@pytest.mark.parametrize(
    ("in_code", "in_words"), [({"SUCCESS", "NEW"}, {"SUCCESS"}), ({"SUCCESS"}, {"SUCCESS", "OLD"})]
)
def test_words_about_statuses_that_the_code_does_not_share_are_refused(in_code: set[str], in_words: set[str]) -> None:
    with pytest.raises(ValueError, match=r"NEW|OLD"):
        compare("C-STORE", in_code, in_words)


# --- as a reader sees it --------------------------------------------------------------------------


def test_no_placeholder_is_left() -> None:
    assert "{{" not in text()


def test_every_table_has_a_cell_under_every_heading_and_is_seen_as_a_table() -> None:
    lines = [line for line in text().splitlines() if line.startswith("|")]
    rulers = [line for line in lines if set(line) <= set("| -")]
    cells = sum(len(row) for one in tables() for row in (one.headings, *one.rows))

    assert len(tables()) == len(rulers)
    # A row with too few or too many bars would be padded or cut by the parser, and so counted otherwise.
    assert sum(len(re.findall(r"(?<!\\)\|", line)) - 1 for line in lines if line not in rulers) == cells
    assert not [one.caption for one in tables() if not one.rows]
    assert not [(one.caption, one.headings) for one in tables() if "" in one.headings]


def test_every_numbered_table_has_its_own_number() -> None:
    numbers = re.findall(r"^\*\*Table ([0-9A-E]+-\d+)\. ", text(), flags=re.MULTILINE)

    assert len(numbers) == len(set(numbers))
    assert len(numbers) > 50


def test_headings_descend_by_one_level_and_are_numbered_in_order() -> None:
    levels = [level for level, _ in headings()]
    labels = [label for _, label in headings()]

    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(1) == 1
    assert len(labels) == len(set(labels))
    chapters = [label for level, label in headings() if level == 2]
    assert [label.split()[0] for label in chapters[:8]] == list("12345678")
    assert [label.split()[1] for label in chapters[8:]] == ["A.", "B.", "C.", "D.", "E."]


def test_every_line_of_the_table_of_contents_leads_to_a_heading() -> None:
    anchors = {re.sub(r"[^\w\- ]", "", label.lower()).replace(" ", "-") for _, label in headings()}
    links = re.findall(r"\]\(#([^)]+)\)", text())

    assert len(links) == sum(level in {2, 3} for level, _ in headings())
    assert set(links) <= anchors


def test_every_section_that_is_referred_to_exists() -> None:
    labels = {label.removeprefix("Annex ").split()[0].rstrip(".") for _, label in headings()}
    named = set(re.findall(r"(?:section|chapter|Annex|Section) ([0-9A-E](?:\.\d+)*)(?![\w.]*PS)", text()))
    of_the_standard = {name for name in named if re.search(rf"PS3\.\d+ Annex {re.escape(name)}", text())}

    assert len(named) > 20
    assert named - labels - of_the_standard == set()


# --- SOP Classes and transfer syntaxes ------------------------------------------------------------


def listed_sop_classes() -> list[str]:
    return the_table("A.1").column("UID")


def listed_services() -> list[str]:
    return [uid for uid in the_table("1.2", caption="Network services").column("UID") if uid != "Annex A.1"]


def test_every_sop_class_that_is_offered_is_listed_once_by_its_name() -> None:
    assert sorted(listed_sop_classes()) == sorted(STORAGE_SOP_CLASSES)
    assert sorted(listed_services()) == sorted(SERVICE_SOP_CLASSES)
    named = dict(the_table("A.1").rows)
    assert named["CT Image Storage"] == "1.2.840.10008.5.1.4.1.1.2"


def test_every_transfer_syntax_that_is_taken_is_listed_once() -> None:
    assert sorted(the_table("A.2").column("UID")) == sorted(STORAGE_TRANSFER_SYNTAXES)
    assert sorted(the_table("A.3").column("UID")) == sorted(MESSAGE_TRANSFER_SYNTAXES)


def answers(pairs: Sequence[tuple[str, str]], rights: Rights) -> Iterator[tuple[str, str, int]]:
    """Propose each (abstract syntax, transfer syntax) in a context of its own; yield the results."""
    remaining = iter(pairs)
    while chunk := list(islice(remaining, PRESENTATION_CONTEXTS_MAX)):
        request = AssociateRequest(
            called_ae_title="TELEGARDE",
            calling_ae_title="READER",
            presentation_contexts=tuple(
                PresentationContextProposal(
                    context_id=2 * number + 1, abstract_syntax=abstract_syntax, transfer_syntaxes=(transfer_syntax,)
                )
                for number, (abstract_syntax, transfer_syntax) in enumerate(chunk)
            ),
            user_information=UserInformation(),
        )
        offer = POLICY.offer(
            request,
            rights,
            implementation_class_uid="1.2.3",
            implementation_version_name="TEST",
            maximum_length=16_384,
            extended_negotiation=lambda _uid, _information: None,
        )
        accept = negotiate(request, offer)
        assert isinstance(accept, AssociateAccept)
        for (abstract_syntax, transfer_syntax), result in zip(chunk, accept.presentation_contexts, strict=True):
            is_agreed = result.result == ContextResult.ACCEPTANCE
            assert not is_agreed or result.transfer_syntax == transfer_syntax
            yield abstract_syntax, transfer_syntax, result.result


def test_every_listed_storage_sop_class_is_accepted_in_every_listed_transfer_syntax() -> None:
    pairs = [(uid, syntax) for uid in listed_sop_classes() for syntax in the_table("A.2").column("UID")]

    refused = [answer for answer in answers(pairs, EVERYTHING) if answer[2] != ContextResult.ACCEPTANCE]

    assert len(pairs) > 10_000
    assert refused == []


def test_every_listed_service_is_accepted_in_every_listed_transfer_syntax_and_no_other() -> None:
    pairs = [(uid, syntax) for uid in listed_services() for syntax in the_table("A.2").column("UID")]
    listed = set(the_table("A.3").column("UID"))

    accepted = {(uid, syntax) for uid, syntax, result in answers(pairs, EVERYTHING) if result == 0}

    assert accepted == {(uid, syntax) for uid, syntax in pairs if syntax in listed}


def test_what_the_registry_has_and_the_statement_has_not_is_refused() -> None:
    known = {*listed_sop_classes(), *listed_services()}
    other_classes = [uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and uid not in known]
    other_syntaxes = [
        uid
        for uid, entry in UID_dictionary.items()
        if entry[1] == "Transfer Syntax" and uid not in the_table("A.2").column("UID")
    ]

    by_class = {result for _, _, result in answers([(uid, "1.2.840.10008.1.2") for uid in other_classes], EVERYTHING)}
    by_syntax = {result for _, _, result in answers([(listed_sop_classes()[0], u) for u in other_syntaxes], EVERYTHING)}

    assert len(other_classes) > 50
    assert len(other_syntaxes) > 5
    assert by_class == {ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED}
    assert by_syntax == {ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED}


def test_each_service_needs_the_right_that_the_statement_names_and_no_other() -> None:
    rows = the_table("7.2.1.4", caption="Rights and abstract syntaxes").records()
    every_right = ("store", "query", "retrieve", "commit", "worklist", "workitems")
    checked = 0
    for row in rows:
        uid = "1.2.840.10008.5.1.4.1.1.2" if row["UID"] == "Annex A.1" else row["UID"]
        if "proposing to be SCP" in row["Abstract syntax"]:
            continue  # its role selection is tested in tests/unit/scp/test_presentation.py
        for right in every_right:
            rights = replace(NOTHING, **{f"may_{right}": True})
            ((_, _, result),) = answers([(uid, "1.2.840.10008.1.2")], rights)
            is_named = row["Right of the calling AE"] in {"none needed", right}
            assert (result == ContextResult.ACCEPTANCE) == is_named, (row, right)
            checked += 1
    assert checked == len(every_right) * (len(SERVICE_SOP_CLASSES) + 1)


# --- keys -----------------------------------------------------------------------------------------


def listed_keys() -> list[tuple[Level, dict[str, str]]]:
    return [
        (level, row)
        for number, level in enumerate(Level, start=1)
        for row in the_table(f"B.{number}", caption=f"Keys at the {level.value} level").records()
    ]


def asked(level: Level, tag: int, vr: str, value: str) -> Query:
    key = (
        Element(vr=vr, items=({0x00100010: Element(vr="PN", text=value)},))
        if vr == "SQ"
        else Element(vr=vr, text=value)
    )
    return Query(
        model=Model.PATIENT_ROOT,
        level=level,
        keys={tag: key},
        is_relational=True,
        zone=None,
        options=MatchingOptions(),
    )


def tag_of(row: dict[str, str]) -> int:
    return int(row["Tag"].strip("()").replace(",", ""), 16)


def test_every_listed_key_is_supported_at_its_level_with_its_vr() -> None:
    for level, row in listed_keys():
        plan = plan_query(asked(level, tag_of(row), row["VR"], ""))
        assert plan.is_complete, row
        assert [(field.vr, field.origin) for field in plan.fields] == [(row["VR"], Origin.INDEX)], row


VALUES = {
    "SINGLE_VALUE": {"DA": "20260101", "TM": "10", "UI": "1.2.3", "IS": "1", "DS": "1", "US": "1", "": "A"},
    "WILDCARD": {"": "A*B"},
    "RANGE": {"DA": "20260101-20260131", "TM": "10-11", "": "1-2"},
    "UID": {"UI": "1.2.3\\1.2.4"},
    "SEQUENCE": {"SQ": "A"},
}


@pytest.mark.parametrize("matching", VALUES)
def test_a_key_is_matched_in_the_ways_that_are_listed_for_it(matching: str) -> None:
    values = VALUES[matching]
    found = 0
    for level, row in listed_keys():
        if matching not in row["Matching"].split(", "):
            continue
        value = values.get(row["VR"], values.get(""))
        assert value is not None, row
        plan = plan_query(asked(level, tag_of(row), row["VR"], value))
        assert len(plan.conditions) == 1, row
        found += 1
    assert found > 5


def test_a_wildcard_is_refused_in_keys_for_which_none_is_listed() -> None:
    refusing = [(level, row) for level, row in listed_keys() if "WILDCARD" not in row["Matching"] and row["VR"] != "SQ"]

    for level, row in refusing:
        with pytest.raises(InvalidKey):
            plan_query(asked(level, tag_of(row), row["VR"], "2*"))
    assert len(refusing) > 20


def test_a_key_that_is_not_listed_is_answered_with_a_warning() -> None:
    rows = asked(Level.STUDY, 0x00280103, "US", "")  # Pixel Representation

    assert 0x00280103 not in {tag_of(row) for _, row in listed_keys()}
    assert not plan_query(rows).is_complete


# --- statuses and refusals ------------------------------------------------------------------------


def test_every_status_is_listed_with_its_meaning_and_where_it_is_defined() -> None:
    listed = {int(row["Status Code"].rstrip("H"), 16): row for row in the_table("7.3.2.11").records()}

    for name, status in Status.__members__.items():
        row = listed[int(status)]
        words = name.removeprefix("WARNING_").replace("_", " ").replace("SUBOPERATIONS", "SUB-OPERATIONS")
        assert words.lower() in row["Meaning"].lower()
        assert row["Defined in"].startswith("PS3.")
        assert row["Answers"]


def test_a_status_that_a_service_answers_is_in_the_table_of_that_service() -> None:
    sections = {
        "C-STORE": "7.3.2.5",
        "N-ACTION": "7.3.2.6",
        "C-FIND": "7.3.2.7",
        "C-MOVE and C-GET": "7.3.2.7",
        "N-CREATE, N-SET and N-GET of MPPS": "7.3.2.8",
        "UPS": "7.3.2.9",
    }
    everywhere = the_table("7.3.2.11").records()
    for service, section in sections.items():
        of_service = the_table(section, caption=f"Status codes of {service} as SCP").records()
        codes = {row["Status Code"] for row in of_service}
        answered = {row["Status Code"] for row in everywhere if service in row["Answers"]}
        assert codes == answered
        assert all(row["Condition"] for row in of_service)


def test_rejections_are_those_of_table_9_21() -> None:
    # From PS3.8, not from the code: source 1 (user) reason 3 calling, 7 called; source 3 (presentation) 1 congestion.
    listed = {row["Situation"]: (row["Result"][0], row["Source"][0], row["Reason"][0]) for row in
              the_table("7.3.1", caption="A-ASSOCIATE-RJ").records()}  # fmt: skip

    assert listed["The calling AE title is not configured"] == ("1", "1", "3")
    assert listed["The called AE title is none of this node"] == ("1", "1", "7")
    assert listed["As many associations are open on the node as are allowed"] == ("2", "3", "1")
    assert listed["The protocol version has no bit 0"] == ("1", "2", "2")
    nobody = AccessRules(called_aets=frozenset({"TELEGARDE"}), peers={}, anyone=None, associations_max=1)
    call = Call(called_aet="TELEGARDE", calling_aet="X", address="192.0.2.1", certificate_names=None)
    decision = decide(nobody, call, Load(associations=0, associations_of_peer=0))
    assert isinstance(decision, Rejected)
    assert (decision.answer.result, decision.answer.source, decision.answer.reason) == (1, 1, 3)


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_is_listed_with_the_default_that_is_read(name: str) -> None:
    (found,) = [one for one in tables() if re.search(rf"\. \[+{re.escape(name)}\]+$", one.caption)]
    listed = {row["Parameter"]: row for row in found.records()}
    fields = keys_of(TABLES[name])

    assert list(listed) == list(fields)
    for key, row in listed.items():
        assert row["Meaning"], key
        assert row["Accepted values"], key
        field = fields[key]
        if row["Default"] == "none":
            assert field.default is None
        elif row["Default"] == "empty":
            assert not field.default
        elif not row["Default"].startswith("none:"):
            assert reader_of(field)(tomllib.loads(f"value = {row['Default']}")["value"]) == field.default


def test_a_cell_cannot_break_its_row() -> None:
    made = written_table(["One", "Two"], [["a | b", "c\nd"]])

    rendered = MarkdownIt("commonmark").enable("table").parse(made)
    cells = [shown(rendered[i + 1]) for i, token in enumerate(rendered) if token.type == "td_open"]

    assert cells == ["a | b", "c d"]
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        written_table(["One", "Two"], [["a"]])
