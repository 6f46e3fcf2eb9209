"""What is known of destinations beside their settings: reachable or away, paused by whom, how much went there.

For: rows of `routing_destination`, inside the caller's transaction. Not for: deciding (`pacs.routing.island`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from foundation.errors import Refused
from foundation.instants import instant_of_us_or_none, microseconds, microseconds_or_none
from pacs.routing.island import Reach
from pacs.routing.queue import NAME_CHARACTERS_MAX
from pacs.routing.schema import routing_destination as table


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationStatus:
    """A destination as it is now; ``paused_by`` is '' when nobody paused it."""

    name: str
    reach: Reach
    paused_by: str = ""
    sent_instances: int = 0
    sent_bytes: int = 0
    last_sent_at: datetime | None = None

    @property
    def may_send(self) -> bool:
        """Say whether what is due may go there now."""
        return not self.paused_by and not self.reach.is_away


def status_of(connection: Connection, name: str) -> DestinationStatus:
    """Return a destination's status; that of one of which nothing is known yet."""
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    return DestinationStatus(name=name, reach=Reach(destination=name)) if row is None else _status(row)


def keep_reach(connection: Connection, reach: Reach) -> None:
    """Keep what is known of the way to a destination."""
    _write(
        connection,
        reach.destination,
        away_since_us=microseconds_or_none(reach.away_since),
        probes=reach.probes,
        probe_at_us=microseconds_or_none(reach.probe_at),
        reason=reach.reason,
    )


def note_sent(connection: Connection, name: str, now: datetime, *, count: int, size_bytes: int) -> None:
    """Count what a destination has answered for."""
    _write(
        connection,
        name,
        sent_instances=table.c.sent_instances + count,
        sent_bytes=table.c.sent_bytes + size_bytes,
        last_sent_at_us=microseconds(now),
    )


def pause(connection: Connection, name: str, *, by: str) -> None:
    """Send nothing there until `resume`: what is in hand is finished, the rest keeps its place.

    Raises
    ------
    foundation.errors.Refused
        If nobody is named, or not in so many words.
    """
    if not by.strip() or len(by) > NAME_CHARACTERS_MAX:
        message = f"--by NAME is wanted, of at most {NAME_CHARACTERS_MAX} characters: it is shown with the destination"
        raise Refused(message)
    _write(connection, name, paused_by=by)


def resume(connection: Connection, name: str) -> None:
    """Send there again."""
    _write(connection, name, paused_by=None)


def _write(connection: Connection, name: str, **values: Any) -> None:
    if connection.execute(select(table.c.name).where(table.c.name == name)).first() is None:
        connection.execute(insert(table).values(name=name, probes=0, reason="", sent_instances=0, sent_bytes=0))
    connection.execute(update(table).where(table.c.name == name).values(**values))


def _status(row: Row[Any]) -> DestinationStatus:
    return DestinationStatus(
        name=row.name,
        reach=Reach(
            destination=row.name,
            away_since=instant_of_us_or_none(row.away_since_us),
            probes=row.probes,
            probe_at=instant_of_us_or_none(row.probe_at_us),
            reason=row.reason,
        ),
        paused_by=row.paused_by or "",
        sent_instances=row.sent_instances,
        sent_bytes=row.sent_bytes,
        last_sent_at=instant_of_us_or_none(row.last_sent_at_us),
    )
