"""The rules in force as they were published: directory and roster documents, resolved once and kept.

For: `PublishedRules`, the port `Rules` on a database. Not for: publishing (`oncall.documents_store`,
`oncall.roster_publication`).

Invariant: what was published is in force at most `LOOK_EVERY_S` later, in every process; until it can be read the rules
before it stay in force.
"""

from datetime import datetime, timedelta
from typing import Final

from foundation import log
from foundation.database import Database, DatabaseAway
from oncall.case.intake_policy import IntakePolicy
from oncall.directory_documents import directory_from_json
from oncall.documents_store import DocumentKind, in_force, latest
from oncall.engine.in_force import DEFAULT_INTAKE, EnginePolicy, InForce
from oncall.rota.documents import roster_from_json
from oncall.rota.timeline import Timeline
from oncall.second_reading import policy as second_reading_policy
from oncall.spans import Span
from oncall.strict_json import parse

LOOK_EVERY_S: Final = 5.0
"""How often the database is asked whether something new was published."""

# The law averages over 17 weeks to either side; the window is moved on once a day.
_REACH: Final = timedelta(weeks=18)
_MOVED_AFTER: Final = timedelta(days=1)


class PublishedRules:
    """What is in force on a database.

    Parameters
    ----------
    database : Database
        With published documents.
    intake : IntakePolicy
        Configured, not published: when images count as complete hangs on the network between the sites.
    """

    def __init__(self, database: Database, intake: IntakePolicy = DEFAULT_INTAKE) -> None:
        self._database = database
        self._intake = intake
        self._versions = ("", "")
        self._kept: InForce | None = None
        self._looked_at: datetime | None = None
        self._centre: datetime | None = None

    def at(self, now: datetime) -> InForce:
        """Return what is in force at `now`.

        Raises
        ------
        oncall.documents_store.NothingPublished
            If there is no directory or no roster.
        foundation.database.DatabaseAway
            If the database does not answer and nothing was read before.
        """
        if self._kept is not None and self._looked_at is not None and now < self._looked_at + _LOOK_EVERY:
            return self._kept
        try:
            self._kept = self._read(now)
        except DatabaseAway:
            if self._kept is None:
                raise
            log.warning("rules_not_looked_up")
        self._looked_at = now
        return self._kept

    def _read(self, now: datetime) -> InForce:
        with self._database.read() as connection:
            people = in_force(connection, DocumentKind.DIRECTORY)
            planned = in_force(connection, DocumentKind.ROSTER)
        versions = (people.version, planned.version)
        is_moved = self._centre is None or abs(now - self._centre) > _MOVED_AFTER
        if self._kept is not None and versions == self._versions and not is_moved:
            return self._kept
        directory = directory_from_json(parse(people.body))
        roster = roster_from_json(parse(planned.body))
        timeline = Timeline(roster, directory, Span(start=now - _REACH, end=now + _REACH))
        self._versions, self._centre = versions, now
        log.info("rules_in_force", version=f"{people.version} {planned.version}")
        return InForce(
            directory=directory,
            roster=roster,
            timeline=timeline,
            intake=self._intake,
            engine=EnginePolicy(is_contact_tested=True, is_request_paged=True),
            second_reading=second_reading_policy.DEFAULT,
        )


def is_published(database: Database) -> bool:
    """Tell whether there is anything for an engine to run on.

    Raises
    ------
    foundation.database.DatabaseAway
        If the database does not answer.
    """
    with database.read() as connection:
        return all(latest(connection, kind) is not None for kind in (DocumentKind.DIRECTORY, DocumentKind.ROSTER))


_LOOK_EVERY: Final = timedelta(seconds=LOOK_EVERY_S)
