"""Where the archive of a command is: found from ``--data`` and ``--config`` without serving it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from foundation.database import Database, sqlite_url
from foundation.errors import Refused, Unavailable
from territory.bootstrap import journal_directory
from territory.cli_setup import CONFIGURATION_NAME
from territory.settings import load
from territory.settings_model import DATABASE_FILE_NAME


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
    configuration = arguments.config
    if configuration is None and arguments.data is not None:
        in_data_dir = arguments.data / CONFIGURATION_NAME
        configuration = in_data_dir if in_data_dir.exists() else None
    if configuration is not None:
        settings = load(configuration)
        data_dir = arguments.data.absolute() if arguments.data else settings.archive.data_dir
        url = settings.database_url if settings.archive.database_url else sqlite_url(data_dir / DATABASE_FILE_NAME)
    elif arguments.data is not None:
        data_dir = arguments.data.absolute()
        url = sqlite_url(data_dir / DATABASE_FILE_NAME)
    else:
        raise Refused("which archive? give --data DIR or --config FILE")
    if not journal_directory(data_dir).is_dir():
        raise NoArchive(f"{data_dir} holds no archive: no node has served it yet (telegarde serve --data {data_dir})")
    return Place(data_dir=data_dir, database_url=url)
