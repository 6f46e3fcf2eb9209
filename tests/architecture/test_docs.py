"""What the documents say is true: links lead somewhere, files exist, commands can be given."""

import re
import shlex
from pathlib import Path

import pytest

from pacs.status import Status
from territory.cli import build_parser
from tests.architecture.sources import PACKAGES, ROOT, python_files, text_of, tracked

DOCUMENTS = tracked("*.md")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)")
# A file of the tree in backticks; patterns, placeholders and files of a data directory are none.
FILE = re.compile(r"`((?:foundation|storage_tiers|pacs|oncall|territory|benchmarks|tests|docs|\.ci)/[\w./-]+\.\w+)`")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\bTELEGARDE_[A-Z]+(?:_[A-Z]+)*\b")


def none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_the_documents_that_a_newcomer_looks_for_are_there() -> None:
    wanted = {"README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md", "docs/glossary.md"}

    assert wanted <= {str(path) for path in DOCUMENTS}


def test_every_link_within_the_project_leads_somewhere() -> None:
    none(
        [
            f"{path}: {target}"
            for path in DOCUMENTS
            for target in LINK.findall(text_of(path))
            if not (ROOT / path.parent / target).exists()
        ]
    )


def test_every_file_that_a_document_names_exists() -> None:
    none(
        [f"{path}: {name}" for path in DOCUMENTS for name in FILE.findall(text_of(path)) if not (ROOT / name).exists()]
    )


def commands_of(path: Path) -> list[list[str]]:
    """Return the ``telegarde`` command lines in a document's code blocks, as arguments."""
    lines = [line for block in FENCED.findall(text_of(path)) for line in block.splitlines()]
    return [
        shlex.split(line, comments=True)[1:] for line in lines if re.match(r"(?:\.venv/bin/)?telegarde [a-z-]+ ", line)
    ]


def test_every_telegarde_command_in_a_code_block_can_be_given() -> None:
    given = [command for path in DOCUMENTS for command in commands_of(path)]
    assert len(given) >= 7

    for command in given:
        try:
            build_parser().parse_args(command)
        except SystemExit:
            pytest.fail(f"telegarde {shlex.join(command)}")


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(Path("Makefile")), re.MULTILINE))
    named = {
        (str(path), target)
        for path in DOCUMENTS
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", text_of(path), re.MULTILINE)
    }

    assert len(named) > 3
    none([f"{path}: make {target}" for path, target in sorted(named) if target not in targets])


def test_every_environment_variable_that_is_read_is_documented() -> None:
    read = {name for path in python_files(*PACKAGES) for name in VARIABLE.findall(text_of(path))}
    documents = "\n".join(text_of(path) for path in (*DOCUMENTS, *tracked("*.toml"), Path("foundation/faults.py")))

    assert len(read) >= 3
    none(sorted(name for name in read - {"TELEGARDE_0"} if name not in documents))


def test_decisions_are_numbered_without_gaps_and_the_architecture_names_each() -> None:
    decisions = [path for path in DOCUMENTS if path.parent == Path("docs/adr")]
    architecture = text_of(Path("ARCHITECTURE.md"))

    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    none([str(path) for path in decisions if str(path) not in architecture])


def test_every_decision_says_what_else_was_possible_and_how_we_would_notice_an_error() -> None:
    headings = ("## Context", "## Options", "## Decision", "## Consequences", "## How we would notice")
    none(
        [
            f"{path}: {heading}"
            for path in DOCUMENTS
            if path.parent == Path("docs/adr")
            for heading in headings
            if heading not in text_of(path)
        ]
    )


def test_the_glossary_has_one_line_for_each_word_in_order() -> None:
    words = re.findall(r"^\| ([\w ,]+?) \|", text_of(Path("docs/glossary.md")), re.MULTILINE)[1:]

    assert len(words) > 25
    assert words == sorted(set(words), key=str.lower)


def test_every_status_code_is_in_the_conformance_statement() -> None:
    statement = text_of(Path("docs/conformance.md"))

    none([f"{status.name} {status:04X}" for status in Status if f"{status:04X}" not in statement])
