"""``telegarde oncall import``: directories, rosters, and shifts that another program planned.

Invariants: everything is checked before anything is published; shifts that break a rule of rest are not imported unless
somebody says so; ``--dry-run`` does all but publish; whom no message could reach is always said (complaint 9).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused
from oncall.callees import ContactDefect
from oncall.directory import LineId, PersonId
from oncall.directory_documents import FORMAT as DIRECTORY_FORMAT
from oncall.directory_documents import directory_from_json
from oncall.documents_store import NothingPublished, load_directory, publish_directory
from oncall.roster_publication import load_roster, publish_roster, unreachable
from oncall.rota import import_grafana, import_opsgenie
from oncall.rota.coverage import coverage_gaps
from oncall.rota.documents import FORMAT as ROSTER_FORMAT
from oncall.rota.documents import roster_from_json
from oncall.rota.ical_import import Target, shifts_from_calendar
from oncall.rota.imported import Imported, ImportedShift, overlapping_pairs, with_imported
from oncall.rota.legal import LegalLimits, Severity, Violation, violations
from oncall.rota.model import Roster, Shift
from oncall.rota.person_finder import PersonFinder
from oncall.rota.tables import shifts_from_csv
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from oncall.strict_json import DOCUMENT_BYTES_MAX, DocumentInvalid, Value, parse
from territory.cli_oncall_grammar import FORMATS_IN
from territory.cli_oncall_place import InForce, load_in_force, local_text, open_database, span_of
from territory.cli_output import answer
from territory.cli_tables import print_rows

_YEAR: Final = timedelta(days=366)
# Hours are averaged over 17 weeks to both sides.
_AVERAGED: Final = timedelta(weeks=17, days=2)
_PROBLEMS_SHOWN_MAX: Final = 100
# Shown to people as tables of their own.
_ROWS: Final = frozenset({"violations", "overlaps", "unreachable"})


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``import``: exit code 1 when rules stand against it, 2 when the file cannot be used."""
    try:
        return _run(arguments, clock.now())
    except DocumentInvalid as error:
        raise Refused(str(error)) from None


def _run(arguments: argparse.Namespace, now: datetime) -> int:
    content = _content(arguments.file)
    chosen = _format(arguments)
    document = parse(content) if chosen in ("json", "opsgenie", "grafana") else None
    kind = document.raw.get("format") if document is not None and isinstance(document.raw, dict) else None
    with open_database(arguments, may_create=kind == DIRECTORY_FORMAT and not arguments.dry_run) as database:
        if chosen == "json":
            assert document is not None, "JSON was parsed"
            return _import_document(arguments, database, document, kind, now)
        return _import_shifts(arguments, database, chosen, content, document, now)


def _content(path: Path) -> bytes:
    try:
        # One more than may be read: a file of gigabytes does not fill the memory.
        if str(path) == "-":
            content = sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                content = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}; give a file that this user may read") from error
    if len(content) > DOCUMENT_BYTES_MAX:
        raise Refused(f"{path} has more than {DOCUMENT_BYTES_MAX} bytes; give a shorter time, in several files")
    return content


def _format(arguments: argparse.Namespace) -> str:
    if arguments.format is not None:
        return str(arguments.format)
    suffix = str(arguments.file.suffix).removeprefix(".").lower()
    if suffix not in FORMATS_IN:
        raise Refused(f"what is {arguments.file}? say it with --format {'|'.join(FORMATS_IN)}")
    return suffix


def _import_document(
    arguments: argparse.Namespace, database: Database, document: Value, kind: Any, now: datetime
) -> int:
    if kind == DIRECTORY_FORMAT:
        directory = directory_from_json(document)
        defects = unreachable(_roster_in_force(database), directory, now)
        version = None
        if not arguments.dry_run:
            with database.write(durable=True) as connection:
                version = publish_directory(connection, directory, by=arguments.by, now=now).version
        result = {"imported": "directory", "sites": len(directory.sites), "persons": len(directory.persons)}
        _answer_document(arguments, {**result, "version": version}, defects)
        return 0
    if kind != ROSTER_FORMAT:
        raise Refused(
            f"the document's format is neither {DIRECTORY_FORMAT} nor {ROSTER_FORMAT}; for other programs' exports say "
            "--format opsgenie or --format grafana"
        )
    with database.read() as connection:
        directory = load_directory(connection)
    roster = roster_from_json(document, directory)
    version = None
    if not arguments.dry_run:
        with database.write(durable=True) as connection:
            version = publish_roster(connection, roster, directory, by=arguments.by, now=now).roster.version
    result = {"imported": "roster", "lines": len(roster.lines), "plans": len(roster.plans)}
    _answer_document(arguments, {**result, "version": version}, unreachable(roster, directory, now))
    return 0


def _roster_in_force(database: Database) -> Roster:
    """Return the roster whose people a new directory must be able to reach; an empty one before the first."""
    try:
        with database.read() as connection:
            return load_roster(connection).roster
    except NothingPublished:
        return Roster(version="", lines=())


def _answer_document(
    arguments: argparse.Namespace, result: Mapping[str, Any], defects: tuple[ContactDefect, ...]
) -> None:
    if arguments.json:
        answer(arguments, {**result, "unreachable": _defects_json(defects)}, title="")
        return
    print_rows("Nobody could reach", ("who", "rule"), _defects_json(defects))
    answer(arguments, result, title=_title(arguments))


def _defects_json(defects: tuple[ContactDefect, ...]) -> list[dict[str, str]]:
    return [{"rule": one.rule, "who": one.who} for one in defects]


def _import_shifts(
    arguments: argparse.Namespace,
    database: Database,
    chosen: str,
    content: bytes,
    document: Value | None,
    now: datetime,
) -> int:
    territory = load_in_force(database)
    within = span_of(arguments, zone=territory.zone, now=now, begin=timedelta(0), length=_YEAR)
    read = _read(arguments, territory, chosen, content, document, within)
    # Running shifts are not taken over half: the past is frozen.
    shifts = [shift for shift in read.shifts if shift.span.start >= max(now, within.start)]
    notes = list(read.notes)
    if len(shifts) < len(read.shifts):
        notes.append(f"{len(read.shifts) - len(shifts)} shifts that began before were left out")
    after = with_imported(territory.roster, shifts, now=now)
    broken = _broken(territory, after, shifts)
    gaps = _gaps(territory, after, shifts)
    overlaps = overlapping_pairs(shifts)
    is_stopped = bool(broken or overlaps) and not arguments.accept_violations
    version = None
    if shifts and not is_stopped and not arguments.dry_run:
        with database.write(durable=True) as connection:
            version = publish_roster(connection, after, territory.directory, by=arguments.by, now=now).roster.version
    result: dict[str, Any] = {
        "imported": 0 if is_stopped else len(shifts),
        "read": len(read.shifts),
        "notes": notes,
        "violations": [_violation_json(one, territory) for one in broken[:_PROBLEMS_SHOWN_MAX]],
        "overlaps": [_overlap_json(pair, territory) for pair in overlaps[:_PROBLEMS_SHOWN_MAX]],
        "gaps": gaps,
        "unreachable": _defects_json(unreachable(after, territory.directory, now)),
        "version": version,
    }
    if arguments.json:
        answer(arguments, result, title="")
    else:
        print_rows("What is forbidden", ("person_id", "rule", "message"), result["violations"])
        print_rows("Two people on one seat", ("line_id", "persons", "start", "end"), result["overlaps"])
        print_rows("Nobody could reach", ("who", "rule"), result["unreachable"])
        title = "NOT imported: --accept-violations imports it all the same" if is_stopped else _title(arguments)
        answer(arguments, {key: value for key, value in result.items() if key not in _ROWS}, title=title)
    return 1 if is_stopped else 0


def _read(
    arguments: argparse.Namespace,
    territory: InForce,
    chosen: str,
    content: bytes,
    document: Value | None,
    within: Span,
) -> Imported:
    finder = _finder(arguments, territory)
    line_id = territory.line(arguments.line).line_id if arguments.line is not None else None
    if chosen == "ics":
        target = Target(lines=territory.lines, line_id=line_id, within=within, finder=finder)
        return shifts_from_calendar(content, target)
    if chosen == "csv":
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise Refused("the table is not in UTF-8; save it as CSV UTF-8") from None
        found = shifts_from_csv(text, finder, territory.lines, line_id)
        inside = tuple(shift for shift in found.shifts if shift.span.overlaps(within))
        outside = len(found.shifts) - len(inside)
        notes = (f"{outside} shifts outside of --from and --to were left out",) if outside else ()
        return Imported(shifts=inside, notes=(*found.notes, *notes))
    if line_id is None:
        raise Refused(f"which line do the shifts go into? give --line; there are {', '.join(territory.lines)}")
    assert document is not None, "exports of other programs are JSON, and were parsed"
    return _foreign(chosen, document, line_id, finder, within, arguments.rotation)


def _foreign(
    chosen: str, document: Value, line_id: LineId, finder: PersonFinder, within: Span, name: str | None
) -> Imported:
    if chosen == "opsgenie":
        return import_opsgenie.shifts_from_opsgenie(document, line_id, finder, within, rotation=name)
    return import_grafana.shifts_from_grafana(document, line_id, finder, within, schedule=name)


def _finder(arguments: argparse.Namespace, territory: InForce) -> PersonFinder:
    known: dict[str, str] = {}
    if arguments.map is not None:
        members = parse(_content(arguments.map)).members()
        known = {name: value.text() for name, value in members.items()}
    try:
        return PersonFinder(territory.directory, known)
    except ValueError as error:
        raise Refused(f"{arguments.map}: {error}") from None


def _broken(territory: InForce, after: Roster, shifts: Sequence[ImportedShift]) -> list[Violation]:
    """Return what the people with imported shifts would break that they do not break now."""
    if not shifts:
        return []
    within = Span(start=min(one.span.start for one in shifts), end=max(one.span.end for one in shifts))
    around = Span(start=within.start - _AVERAGED, end=within.end + _AVERAGED)
    before, new = (Timeline(roster, territory.directory, around) for roster in (territory.roster, after))
    found: list[Violation] = []
    for person_id in sorted({shift.person_id for shift in shifts}):
        had, has = before.shifts_of(person_id), new.shifts_of(person_id)
        # Of somebody on leave the roster resolves to nobody: what was meant is looked at all the same.
        there = {(one.line_id, one.span) for one in has}
        meant = tuple(
            Shift(line_id=one.line_id, person_id=person_id, span=one.span, origin="import")
            for one in shifts
            if one.person_id == person_id and (one.line_id, one.span) not in there
        )
        known = {(one.rule, one.span) for one in _violations(territory, person_id, had, within)}
        found += [
            one
            for one in _violations(territory, person_id, (*has, *meant), within)
            if (one.rule, one.span) not in known and one.severity is not Severity.NOTICE
        ]
    return found


def _violations(
    territory: InForce, person_id: PersonId, shifts: Sequence[Shift], within: Span
) -> tuple[Violation, ...]:
    roster = territory.roster
    return violations(
        person_id,
        shifts,
        roster.sessions,
        LegalLimits(),
        within,
        lines=roster.lines,
        person=territory.directory.persons[person_id],
        absences=roster.absences,
    )


def _gaps(territory: InForce, after: Roster, shifts: Sequence[ImportedShift]) -> int:
    """Return how many seats of the imported lines stay empty within the imported time."""
    if not shifts:
        return 0
    within = Span(start=min(one.span.start for one in shifts), end=max(one.span.end for one in shifts))
    lines = {shift.line_id for shift in shifts}
    timeline = Timeline(after, territory.directory, within)
    return sum(gap.line_id in lines for gap in coverage_gaps(timeline, within))


def _overlap_json(pair: tuple[ImportedShift, ImportedShift], territory: InForce) -> Mapping[str, Any]:
    one, other = pair
    return {
        "line_id": one.line_id,
        "persons": [one.person_id, other.person_id],
        "start": local_text(max(one.span.start, other.span.start), territory.zone),
        "end": local_text(min(one.span.end, other.span.end), territory.zone),
    }


def _violation_json(violation: Violation, territory: InForce) -> Mapping[str, Any]:
    return {
        "rule": violation.rule.value,
        "severity": violation.severity.value,
        "person_id": violation.person_id,
        "start": local_text(violation.span.start, territory.zone),
        "end": local_text(violation.span.end, territory.zone),
        "message": violation.message_fr,
        "message_en": violation.message_en,
    }


def _title(arguments: argparse.Namespace) -> str:
    return "It can be imported; nothing was changed" if arguments.dry_run else "Imported"
