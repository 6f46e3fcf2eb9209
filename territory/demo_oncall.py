"""The on-call side of the demonstration: the territory that does not exist, put in force in a data directory.

For: ``telegarde demo``. Not for: what the territory is (`territory.demo_territory`, `territory.demo_roster`).

Invariant: a territory that is there already, with whatever was changed in it since, is left as it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.errors import Refused
from oncall.directory import Directory, Role
from oncall.documents_store import DocumentKind, latest, load_directory, publish_directory
from oncall.roster_publication import load_roster, publish_roster
from oncall.rota.model import Roster
from territory.demo_roster import FIRST_DAY, demo_roster
from territory.demo_territory import demo_directory

# Who publishes it, in the versions' history.
_BY = "demo"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoTerritory:
    """What is in force after `put_in_force`; ``is_new`` is False when it was there already."""

    directory: Directory
    roster: Roster
    is_new: bool

    @property
    def radiologists(self) -> int:
        """How many there are."""
        return sum(person.role is Role.RADIOLOGIST for person in self.directory.persons.values())


def put_in_force(database: Database) -> DemoTerritory:
    """Publish the demonstration territory, unless one is there.

    Its versions are dated the first day of its roster, so that the whole of it may be edited.

    Raises
    ------
    Refused
        If a directory without the demonstration's roster is there: somebody else's territory is not mixed with it.
    """
    database.create_tables()
    with database.write(durable=True) as connection:
        if latest(connection, DocumentKind.ROSTER) is not None:
            return DemoTerritory(
                directory=load_directory(connection), roster=load_roster(connection).roster, is_new=False
            )
        if latest(connection, DocumentKind.DIRECTORY) is not None:
            raise Refused("another directory is in force here; choose a new data directory for the demonstration")
        directory = demo_directory()
        published_at = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
        publish_directory(connection, directory, by=_BY, now=published_at)
        made = publish_roster(connection, demo_roster(directory), directory, by=_BY, now=published_at)
    return DemoTerritory(directory=directory, roster=made.roster, is_new=True)
