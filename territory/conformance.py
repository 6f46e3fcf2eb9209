"""The DICOM Conformance Statement, `docs/conformance.md`: words from templates, tables and numbers from the code.

``python -m territory.conformance`` writes it; with ``--check`` it says whether the one there is up to date.

For: putting the facts of the ``conformance_*`` modules into ``conformance_templates/*.md``. Not for: any fact.

Invariants: the same code gives the same text on every machine; a template names no fact that is not there, and no fact
is collected that no template shows; where code and words contradict each other, there is no statement but an error.

References
----------
PS3.2 Annex N (the template since 2023)
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pacs.upper_layer.limits import PRESENTATION_CONTEXTS_MAX
from territory import (
    conformance_associations,
    conformance_limits,
    conformance_queries,
    conformance_services,
    conformance_settings,
    conformance_statuses,
    conformance_worklist,
)
from territory.conformance_markdown import contents, number, numbered_captions

STATEMENT: Final = Path(__file__).parents[1] / "docs" / "conformance.md"
"""Where the statement is kept, in the repository."""

_TEMPLATES: Final = Path(__file__).with_name("conformance_templates")
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
_CONTENTS: Final = "contents"
_SOURCES: Final[Sequence[Callable[[], dict[str, str]]]] = (
    conformance_services.facts,
    conformance_queries.facts,
    conformance_associations.facts,
    conformance_statuses.facts,
    conformance_limits.facts,
    conformance_settings.facts,
    conformance_worklist.facts,
)


def statement() -> str:
    """Return the conformance statement, as Markdown.

    Raises
    ------
    ValueError
        If the templates and the facts do not fit together, or the words about the code are no longer true.
    """
    template = "\n".join(path.read_text() for path in sorted(_TEMPLATES.glob("*.md")))
    return filled(template, _facts())


def filled(template: str, facts: Mapping[str, str]) -> str:
    """Return a template with its facts, captions numbered, and its table of contents.

    Raises
    ------
    ValueError
        If the template names a fact that is not there, or leaves one out.
    """
    named = set(_PLACEHOLDER.findall(template)) - {_CONTENTS}
    if named != facts.keys():
        raise ValueError(
            f"no facts for {sorted(named - facts.keys())}; facts that no template shows: {sorted(facts.keys() - named)}"
        )
    # The table of contents last, from the headings as they will be.
    made = numbered_captions(_PLACEHOLDER.sub(lambda found: facts.get(found[1], found[0]), template))
    return made.replace(f"{{{{{_CONTENTS}}}}}", contents(made))


def _facts() -> dict[str, str]:
    facts = {"contexts_max": number(PRESENTATION_CONTEXTS_MAX)}
    for source in _SOURCES:
        found = source()
        if facts.keys() & found.keys():
            raise ValueError(f"facts of one name: {sorted(facts.keys() & found.keys())}")
        facts |= found
    return facts


def main(argv: Sequence[str]) -> int:
    """Write the statement, or check the one that is there; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m territory.conformance", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the statement is out of date")
    parser.add_argument("--file", type=Path, default=STATEMENT, help="the statement (default: docs/conformance.md)")
    arguments = parser.parse_args(argv)
    made, file = statement(), arguments.file
    if not arguments.check:
        file.write_text(made)
        sys.stdout.write(f"{file.name}: written\n")
        return 0
    if file.exists() and file.read_text() == made:
        sys.stdout.write(f"{file.name}: up to date\n")
        return 0
    sys.stderr.write(f"{file.name} is out of date: run python -m territory.conformance and read what changed\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
