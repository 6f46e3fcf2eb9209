"""Where the archive of a command is: found from ``--data`` and ``--config`` without serving it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from foundation.database import Database
from foundation.errors import Refused, Unavailable
from territory.bootstrap import journal_directory
from territory.data_location import location_of


class NoArchive(Refused):
    """The directory given holds no archive: nothing is created by looking at it."""


class IndexMissing(Unavailable):
    """The packs are there, their index is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A data directory and the URL of its index; the URL may hold a password."""

    data_dir: Path
    database_url: str

    @property
    def journal(self) -> Path:
        """Where the packs are."""
        return journal_directory(self.data_dir)

    def open_database(self) -> Database:
        """Return the index.

        Raises
        ------
        IndexMissing
            If it is SQLite and its file is not there: opening it would make an empty one.
        """
        url = make_url(self.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            raise IndexMissing(f"the index {url.database} is not there; telegarde reindex builds it from the packs")
        return Database(self.database_url)


def place_of(arguments: argparse.Namespace) -> Place:
    """Return the place that a command line means.

    Raises
    ------
    Refused
        If it names none, or one without an archive.
    InvalidSettings
        If its configuration cannot be used.
    """
    location = location_of(arguments)
    if not journal_directory(location.data_dir).is_dir():
        data_dir = location.data_dir
        raise NoArchive(f"{data_dir} holds no archive: no node has served it yet (telegarde serve --data {data_dir})")
    return Place(data_dir=location.data_dir, database_url=location.database_url)
