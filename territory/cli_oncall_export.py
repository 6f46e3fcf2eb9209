"""``telegarde oncall export``: shifts as a calendar feed or a table, and the documents in force."""

import argparse
import json
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.directory_documents import directory_to_json
from oncall.roster_publication import changed_events
from oncall.rota.calendar import feed
from oncall.rota.documents import roster_to_json
from oncall.rota.ical import Feed, calendar_text
from oncall.rota.model import Shift
from oncall.rota.tables import csv_text, rows_of
from oncall.spans import Span
from territory.cli_oncall_grammar import FORMATS_OUT
from territory.cli_oncall_place import InForce, load_in_force, open_database, span_of
from territory.cli_output import answer

_MONTH: Final = timedelta(days=31)
# As far as calendars are told of changes (`oncall.roster_publication.TOLD_AHEAD`), from a month ago on.
_LENGTH: Final = timedelta(days=431)


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``export``; without ``--output`` the text itself goes to standard output."""
    now = clock.now()
    chosen = _format(arguments)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        within = span_of(arguments, zone=territory.zone, now=now, begin=-_MONTH, length=_LENGTH)
        if arguments.what != "shifts":
            text, count = _document(arguments, territory), 1
        else:
            line_ids, person_id = _whose(arguments, territory)
            shifts = [
                shift
                for shift in territory.timeline(within).shifts
                if shift.span.overlaps(within)
                and (line_ids is None or shift.line_id in line_ids)
                and (person_id is None or shift.person_id == person_id)
            ]
            if chosen == "ics":
                with database.read() as connection:
                    changed = changed_events(connection, within, person_id=person_id, line_ids=line_ids)
                events = feed(shifts, changed)
                lines, directory = territory.lines, territory.directory
                text = calendar_text(events, _feed(arguments, territory), lines=lines, directory=directory).decode()
                count = len(events)
            else:
                text, count = _table(chosen, shifts, territory, within), len(shifts)
    return _hand_over(arguments, text, {"format": chosen, "what": arguments.what, "count": count})


def _format(arguments: argparse.Namespace) -> str:
    if arguments.what != "shifts":
        if arguments.format not in (None, "json"):
            raise Refused(f"a {arguments.what} is exported as json only; leave out --format {arguments.format}")
        return "json"
    if arguments.format is not None:
        return str(arguments.format)
    suffix = arguments.output.suffix.removeprefix(".").lower() if arguments.output is not None else ""
    return suffix if suffix in FORMATS_OUT else "ics"


def _whose(arguments: argparse.Namespace, territory: InForce) -> tuple[frozenset[LineId] | None, PersonId | None]:
    if arguments.person is not None:
        return None, territory.person(arguments.person)
    if arguments.line is not None:
        return frozenset({territory.line(arguments.line).line_id}), None
    if arguments.site is not None:
        site_id = territory.site(arguments.site)
        serving = territory.directory.sites[site_id].provider_order
        return frozenset(
            line.line_id
            for line in territory.roster.lines
            if (not line.sites or site_id in line.sites) and (not serving or line.provider_id in serving)
        ), None
    return None, None


def _feed(arguments: argparse.Namespace, territory: InForce) -> Feed:
    if arguments.person is not None:
        title = territory.directory.persons[PersonId(arguments.person)].name
    elif arguments.line is not None:
        title = territory.line(arguments.line).name
    elif arguments.site is not None:
        title = territory.directory.sites[territory.site(arguments.site)].name
    else:
        title = "Telegarde"
    return Feed(
        title=f"Garde : {title}",
        stamped_at=territory.published_at,
        is_own=arguments.person is not None,
        time_zone=territory.zone,
    )


def _table(chosen: str, shifts: list[Shift], territory: InForce, within: Span) -> str:
    rows = rows_of(shifts, lines=territory.lines, directory=territory.directory)
    if chosen == "csv":
        return csv_text(rows)
    found = {
        "from": within.start.astimezone(UTC).isoformat(timespec="minutes"),
        "to": within.end.astimezone(UTC).isoformat(timespec="minutes"),
        "roster_version": territory.roster.version,
        "shifts": rows,
    }
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def _document(arguments: argparse.Namespace, territory: InForce) -> str:
    document = (
        roster_to_json(territory.roster) if arguments.what == "roster" else directory_to_json(territory.directory)
    )
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _hand_over(arguments: argparse.Namespace, text: str, result: dict[str, Any]) -> int:
    if arguments.output is not None:
        path: Path = arguments.output
        try:
            # As bytes: iCalendar and CSV end their lines with CR LF, whatever the machine's habit.
            write_whole(path, text.encode())
        except OSError as error:
            raise Refused(f"cannot write {path}: {error.strerror}; choose another --output") from error
        answer(arguments, {**result, "output": str(path)}, title=f"Written: {path}")
    elif arguments.json:
        answer(arguments, {**result, "text": text}, title="")
    else:
        print(text, end="")
    return 0


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: half a feed would be a roster in which nobody is on call."""
    if path.exists() and not path.is_file():
        # A device or a pipe has nothing to be put in the place of.
        path.write_bytes(content)
        return
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
