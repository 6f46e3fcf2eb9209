"""Which templates there are: those that come with the program, and those that were published here.

For: `in_force`, what a form is made of now; `find`, the template that an old report was made with; `publish_template`.
Not for: reading documents (`oncall.report.template_documents`).

Invariants: a published version never changes and is never deleted, so that an old report always finds its template; a
name and version that come with the program cannot be published with another text; of one name and language, the newest
published version is in force, and what was published here goes before what came with the program.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Final

from sqlalchemy import Connection

from foundation.errors import Refused
from oncall import documents_store
from oncall.documents_store import DocumentKind, Published
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.template import Template
from oncall.report.template_documents import template_to_json, templates_from_json
from oncall.strict_json import canonical, parse

# A department has a hundred templates and mends each a few times a year; more are not looked at, newest first.
_PUBLISHED_MAX: Final = 10_000

Key = tuple[str, Language]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A template in force; ``published`` is None for one that came with the program."""

    template: Template
    published: Published | None = None


def packaged() -> tuple[Template, ...]:
    """Return the templates that come with the program, by name and language."""
    folder = files("oncall.report").joinpath("library")
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".json"))
    return _packaged(tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names))


@lru_cache(maxsize=1)
def _packaged(texts: tuple[str, ...]) -> tuple[Template, ...]:
    return tuple(template for text in texts for template in templates_from_json(parse(text)))


def in_force(connection: Connection) -> Mapping[Key, Offered]:
    """Return the templates in force, by name and language.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a row is damaged.
    """
    found = {_key(one): Offered(template=one) for one in packaged()}
    seen: set[Key] = set()
    for row in documents_store.versions(connection, DocumentKind.TEMPLATE, versions_max=_PUBLISHED_MAX):
        template_id, language, _ = row.version.split(":")
        key = (template_id, Language(language))
        if key not in seen:
            seen.add(key)
            found[key] = Offered(template=_read(row), published=row)
    return dict(sorted(found.items()))


def find(connection: Connection, template_id: str, language: Language, version: str) -> Template | None:
    """Return one version of a template, in force or not; None when it was never here."""
    row = documents_store.find(connection, DocumentKind.TEMPLATE, _name(template_id, language, version))
    if row is not None:
        return _read(row)
    return next((one for one in packaged() if (*_key(one), one.version) == (template_id, language, version)), None)


def publish_template(connection: Connection, template: Template, *, by: str, now: datetime) -> Published:
    """Put a template in force; the same text under the same version again changes nothing.

    Parameters
    ----------
    connection : Connection
        Inside a durable write transaction of `foundation.database.Database`.
    template : Template
        Without defects.
    by : str
        Who publishes: an identifier, no name.

    Raises
    ------
    Refused
        If the version exists with another text, here or as it came with the program.
    """
    document = template_to_json(template)
    same = next((one for one in packaged() if (_key(one), one.version) == (_key(template), template.version)), None)
    if same is not None and canonical(template_to_json(same)) != canonical(document):
        raise Refused(
            f"template {template.template_id} {template.version} came with the program and never changes; publish "
            "under another version"
        )
    name = _name(*_key(template), template.version)
    return documents_store.publish(connection, DocumentKind.TEMPLATE, name, document, by=by, now=now)


def suited(
    templates: Iterable[Template], *, exam: ExamKind | None, modality: str, language: Language
) -> tuple[Template, ...]:
    """Return templates for a case, the best first: those of its exam and modality, then of one of them, then the rest.

    Parameters
    ----------
    modality : str
        A modality as DICOM names it; empty when it is not known.
    language : Language
        Templates of other languages are left out.
    """
    known = sorted((one for one in templates if one.language is language), key=lambda one: (one.title, one.template_id))
    return tuple(sorted(known, key=lambda one: _fit(one, exam, modality), reverse=True))


def _fit(template: Template, exam: ExamKind | None, modality: str) -> tuple[int, int, int]:
    """Return how well a template suits: another exam or modality than its own weighs against it.

    Of two that suit alike, the one for fewer exams goes first, then the one with more questions.
    """
    by_exam = 0 if exam is None or not template.exams else 2 if exam in template.exams else -2
    by_modality = 0 if not modality or not template.modalities else 3 if modality in template.modalities else -3
    return (by_exam + by_modality, -(len(template.exams) or len(ExamKind)), len(template.fields))


def _key(template: Template) -> Key:
    return (template.template_id, template.language)


def _name(template_id: str, language: Language, version: str) -> str:
    return f"{template_id}:{language.value}:{version}"


def _read(row: Published) -> Template:
    (template,) = templates_from_json(parse(row.body))
    return template
