"""``telegarde oncall templates``: which report templates there are, what one asks, and taking them in and out.

Invariants: an import is checked as a whole before anything is published, and says what of the file it leaves out; a
version that is published is never changed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.mrrt import FILE_BYTES_MAX, read_mrrt
from oncall.report.mrrt_export import write_mrrt
from oncall.report.template import Field, Template
from oncall.report.template_documents import template_to_json, templates_from_json
from oncall.report.template_library import Key, Offered, find, in_force, publish_template
from oncall.strict_json import DocumentInvalid, parse
from territory.cli_oncall_export import write_whole
from territory.cli_oncall_place import open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run one of the actions."""
    try:
        return _ACTIONS[arguments.templates_command](arguments, clock)
    except DocumentInvalid as error:
        raise Refused(str(error)) from None


def _list(arguments: argparse.Namespace, clock: Clock) -> int:
    with open_database(arguments) as database, database.read() as connection:
        offered = in_force(connection)
    rows = [_row(one) for key, one in offered.items() if arguments.language in (None, key[1].value)]
    if arguments.json:
        answer(arguments, {"templates": rows}, title="")
    else:
        columns = ("template_id", "language", "version", "title", "exams", "modalities", "questions", "published_at")
        print_rows("Report templates in force", columns, rows, nothing="No template in this language.")
    return 0


def _row(offered: Offered) -> dict[str, Any]:
    template, published = offered.template, offered.published
    return {
        "template_id": template.template_id,
        "language": template.language.value,
        "version": template.version,
        "title": template.title,
        "exams": [one.value for one in template.exams],
        "modalities": list(template.modalities),
        "questions": len(template.fields),
        "published_at": published.published_at.isoformat(timespec="seconds") if published is not None else None,
        "published_by": published.published_by if published is not None else None,
    }


def _show(arguments: argparse.Namespace, clock: Clock) -> int:
    template = _chosen(arguments)
    if arguments.json:
        answer(arguments, template_to_json(template), title="")
        return 0
    for line in template.lines:
        print(f"{line.chapter.value}: {line.text}{'  [if answers say so]' if line.shown_when else ''}")
    columns = ("field_id", "chapter", "group", "label", "kind", "unit", "required", "choices", "shown_when")
    title = f"{template.title} ({template.language.value}, {template.version})"
    print_rows(title, columns, map(_question, template.fields))
    rows = [{"kind": one.kind.value, "category": one.category, "text": one.text} for one in template.notices]
    print_rows("Notices", ("kind", "category", "text"), rows)
    return 0


def _question(field: Field) -> dict[str, Any]:
    return {
        "field_id": field.field_id,
        "chapter": field.chapter.value,
        "group": field.group,
        "label": field.label,
        "kind": field.kind.value,
        "unit": field.unit,
        "required": "yes" if field.is_required else "",
        "choices": len(field.choices) or "",
        "shown_when": [one.field_id for one in field.shown_when],
    }


def _import(arguments: argparse.Namespace, clock: Clock) -> int:
    templates, left_out = _read(arguments)
    with open_database(arguments, may_create=not arguments.dry_run) as database:
        if not arguments.dry_run:
            with database.write(durable=True) as connection:
                for template in templates:
                    publish_template(connection, template, by=arguments.by, now=clock.now())
    result: dict[str, Any] = {
        "imported": [
            {"template_id": one.template_id, "language": one.language.value, "version": one.version, "title": one.title}
            for one in templates
        ],
        "questions": len(templates[0].fields),
        "left_out": list(left_out),
        "published": not arguments.dry_run,
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 0
    title = "It can be imported; nothing was changed" if arguments.dry_run else "Imported"
    print_rows(title, ("template_id", "language", "version", "title"), result["imported"])
    print_rows("Left out", ("what",), [{"what": one} for one in left_out], nothing="Nothing was left out.")
    return 0


def _read(arguments: argparse.Namespace) -> tuple[tuple[Template, ...], Sequence[str]]:
    path: Path = arguments.file
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}; give a file that this user may read") from error
    if len(content) > FILE_BYTES_MAX:
        raise Refused(f"{path} has more than {FILE_BYTES_MAX} bytes; no template has")
    if _format(arguments, path) == "json":
        if arguments.id or arguments.template_version or arguments.exam or arguments.modality:
            raise Refused("a JSON document says its own name, version, exams and modalities; edit them there")
        return templates_from_json(parse(content)), ()
    imported = read_mrrt(
        content,
        template_id=arguments.id or "",
        version=arguments.template_version or "",
        language=Language(arguments.language) if arguments.language else None,
        exams=[ExamKind(one) for one in arguments.exam],
        modalities=arguments.modality,
    )
    return (imported.template,), imported.left_out


def _export(arguments: argparse.Namespace, clock: Clock) -> int:
    template = _chosen(arguments)
    chosen = _format(arguments, arguments.output) if arguments.output or arguments.format else "json"
    if chosen == "mrrt":
        text = write_mrrt(template).decode()
    else:
        text = json.dumps(template_to_json(template), ensure_ascii=False, indent=1) + "\n"
    result = {"template_id": template.template_id, "version": template.version, "format": chosen}
    if arguments.output is not None:
        try:
            write_whole(arguments.output, text.encode())
        except OSError as error:
            raise Refused(f"cannot write {arguments.output}: {error.strerror}; choose another --output") from error
        answer(arguments, {**result, "output": str(arguments.output)}, title=f"Written: {arguments.output}")
    elif arguments.json:
        answer(arguments, {**result, "text": text}, title="")
    else:
        print(text, end="")
    return 0


def _format(arguments: argparse.Namespace, path: Path) -> str:
    if arguments.format is not None:
        return str(arguments.format)
    found = {".json": "json", ".html": "mrrt", ".htm": "mrrt"}.get(path.suffix.lower())
    if found is None:
        raise Refused(f"what is {path}? say it with --format json|mrrt")
    return found


def _chosen(arguments: argparse.Namespace) -> Template:
    """Return the template that a command line means: of the version asked for, else the one in force."""
    with open_database(arguments) as database, database.read() as connection:
        offered = in_force(connection)
        key = _key(arguments, [*offered])
        if arguments.template_version is None:
            return offered[key].template
        found = find(connection, *key, arguments.template_version)
    if found is None:
        raise Refused(f"template {key[0]} has never had a version {arguments.template_version} here")
    return found


def _key(arguments: argparse.Namespace, keys: Sequence[Key]) -> Key:
    found = [key for key in keys if key[0] == arguments.template and arguments.language in (None, key[1].value)]
    if not found:
        names = ", ".join(sorted({key[0] for key in keys}))
        raise Refused(f"no template {arguments.template} in that language; there are {names}")
    # French comes first where both are there: the territory's language.
    return max(found, key=lambda one: one[1] is Language.FRENCH)


_ACTIONS: Final[MappingProxyType[str, Callable[[argparse.Namespace, Clock], int]]] = MappingProxyType(
    {"list": _list, "show": _show, "import": _import, "export": _export}
)
