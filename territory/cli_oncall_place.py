"""Where the on-call commands work, and how they read times and write answers.

For: the database of a data directory with or without an archive in it, instants and spans from the command line, the
territory in force. Not for: any command.

Invariant: an instant without an offset is refused, because on two nights a year it is another one than was meant.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.engine import make_url

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.errors import Refused
from oncall.directory import Directory, LineId, PersonId, SiteId
from oncall.documents_store import load_directory
from oncall.local_time import first_instant
from oncall.roster_publication import load_roster
from oncall.rota.model import Line, Roster, Shift
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from territory.data_location import location_of

# What rosters are asked about: before it there are no time zones as we know them, after it nobody plans.
_YEARS: Final = range(1970, 2201)
# Longer is a slip of the keyboard; ten years of gaps take some twenty seconds.
_SPAN_MAX: Final = timedelta(days=3_660)
# A shift lasts a day at most, and a clock change moves it by an hour.
_AROUND: Final = timedelta(days=2)
_Key = TypeVar("_Key", bound=str)
_Found = TypeVar("_Found")


class NoTerritory(Refused):
    """The directory given holds no on-call tables: nothing is created by looking at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InForce:
    """The territory that a command works on; ``published_at`` is the roster's."""

    directory: Directory
    roster: Roster
    published_at: datetime

    @property
    def lines(self) -> dict[LineId, Line]:
        """The roster's lines by identifier."""
        return {line.line_id: line for line in self.roster.lines}

    @property
    def zone(self) -> str:
        """The time zone that days are counted in: that of the first line."""
        return self.roster.lines[0].time_zone if self.roster.lines else "UTC"

    def line(self, line_id: str) -> Line:
        """Return a line, or refuse with the lines that there are."""
        return _known("line", LineId(line_id), self.lines)

    def person(self, person_id: str) -> PersonId:
        """Return a person's identifier, or refuse."""
        if PersonId(person_id) not in self.directory.persons:
            raise Refused(
                f"no person {person_id} in the directory; telegarde oncall export --what directory lists them"
            )
        return PersonId(person_id)

    def site(self, site_id: str) -> SiteId:
        """Return a site's identifier, or refuse with the sites that there are."""
        _known("site", SiteId(site_id), self.directory.sites)
        return SiteId(site_id)

    def timeline(self, within: Span) -> Timeline:
        """Return the roster resolved over a span and a little around it."""
        return Timeline(self.roster, self.directory, Span(start=within.start - _AROUND, end=within.end + _AROUND))


@contextmanager
def open_database(arguments: argparse.Namespace, *, may_create: bool = False) -> Iterator[Database]:
    """Give the database of the place that a command line means, with the on-call tables; closed at the end.

    Raises
    ------
    NoTerritory
        If there is no database, unless it may be created.
    """
    location = location_of(arguments)
    url = make_url(location.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        if not may_create:
            raise NoTerritory(
                f"{location.data_dir} holds no territory: telegarde demo --data {location.data_dir} makes one to look "
                f"at, telegarde oncall import --data {location.data_dir} FILE begins with your own directory"
            )
        location.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(location.database_url)
    try:
        database.create_tables()
        yield database
    finally:
        database.close()


def load_in_force(database: Database) -> InForce:
    """Return the territory in force.

    Raises
    ------
    oncall.documents_store.NothingPublished
        If no directory or no roster has been published.
    """
    with database.read() as connection:
        directory = load_directory(connection)
        found = load_roster(connection)
    return InForce(directory=directory, roster=found.roster, published_at=found.published_at)


def instant_of(text: str | None, *, option: str, zone: str, now: datetime) -> datetime:
    """Return the UTC instant of an option; `now` when it was not given.

    Raises
    ------
    Refused
        If it is no instant, of no year that rosters have, or has no offset: the message says how it could have been
        meant.
    """
    if text is None:
        return now.astimezone(UTC)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text}: an instant like 2026-10-25T02:30+02:00 is wanted") from None
    if read.year not in _YEARS:
        raise Refused(f"{option} {text}: a year from {_YEARS[0]} to {_YEARS[-1]} is wanted")
    if read.tzinfo is None:
        raise Refused(f"{option} {text}: say the offset from UTC, because {_meanings(read, zone)}")
    return read.astimezone(UTC)


def span_of(arguments: argparse.Namespace, *, zone: str, now: datetime, begin: timedelta, length: timedelta) -> Span:
    """Return the span of ``--from`` and ``--to``; days are those of `zone`, from their first moment on.

    Parameters
    ----------
    begin : timedelta
        Added to `now` when there is no ``--from``.
    length : timedelta
        From the beginning on, when there is no ``--to``.

    Raises
    ------
    Refused
        If a text is neither a day nor an instant with its offset, the end is not after the beginning, or ten years
        after it.
    """
    start = _moment(arguments.begin, "--from", zone) or (now + begin).astimezone(UTC)
    end = _moment(arguments.end, "--to", zone) or start + length
    if end <= start:
        raise Refused("--to has to be after --from")
    if end - start > _SPAN_MAX:
        raise Refused(f"from --from to --to at most {_SPAN_MAX.days} days are looked at; ask for a shorter time")
    return Span(start=start, end=end)


def day_of(text: str, *, option: str) -> date:
    """Return a calendar day written ``2026-10-24``."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text}: a day like 2026-10-24 is wanted") from None
    if day.year not in _YEARS:
        raise Refused(f"{option} {text}: a year from {_YEARS[0]} to {_YEARS[-1]} is wanted")
    return day


def local_text(instant: datetime, zone: str) -> str:
    """Return an instant in local time with its offset, to the minute."""
    return instant.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")


def shift_json(shift: Shift, territory: InForce) -> dict[str, Any]:
    """Return a shift as it is answered: identifiers, names, local times with their offset."""
    line = territory.lines.get(shift.line_id)
    person = territory.directory.persons.get(shift.person_id)
    zone = line.time_zone if line is not None else territory.zone
    return {
        "line_id": shift.line_id,
        "line": line.name if line is not None else shift.line_id,
        "kind": line.kind.value if line is not None else None,
        "provider_id": line.provider_id if line is not None else None,
        "person_id": shift.person_id,
        "name": person.name if person is not None else shift.person_id,
        "start": local_text(shift.span.start, zone),
        "end": local_text(shift.span.end, zone),
        "hours": round(shift.span.hours, 2),
        "rule": shift.rule,
        "origin": shift.origin,
    }


def _moment(text: str | None, option: str, zone: str) -> datetime | None:
    if text is None:
        return None
    if len(text) <= len("2026-10-24"):
        return first_instant(day_of(text, option=option), time(0), zone)
    return instant_of(text, option=option, zone=zone, now=datetime.min.replace(tzinfo=UTC))


def _meanings(wall: datetime, zone: str) -> str:
    """Say which instants a local time without an offset could be."""
    local = [wall.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    written = [one.isoformat(timespec="minutes") for one in local]
    # What UTC makes of a time that does not exist comes back as another wall time.
    exists = local[0].astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    if not exists:
        return f"the clocks of {zone} never show it that day"
    if local[0].utcoffset() == local[1].utcoffset():
        return f"it depends on the place; in {zone} it is {written[0]}"
    return f"it comes twice in {zone}: {written[0]} or {written[1]}"


def _known(kind: str, key: _Key, found: Mapping[_Key, _Found]) -> _Found:
    if key not in found:
        raise Refused(f"no {kind} {key}; there are {', '.join(sorted(found)) or 'none'}")
    return found[key]
