"""Where a command's data are: found from ``--data`` and ``--config``, without looking whether anything is there.

Light to import, because commands that only ask the database should answer at once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from foundation.database import sqlite_url
from foundation.errors import Refused
from territory.settings_model import CONFIGURATION_NAME, DATABASE_FILE_NAME


@dataclass(frozen=True, kw_only=True, slots=True)
class DataLocation:
    """A data directory and the URL of its database; the URL may hold a password."""

    data_dir: Path
    database_url: str


def location_of(arguments: argparse.Namespace) -> DataLocation:
    """Return the location that a command line means.

    Raises
    ------
    Refused
        If it names none.
    territory.settings_reader.InvalidSettings
        If its configuration cannot be used.
    """
    configuration = arguments.config
    if configuration is None and arguments.data is not None:
        in_data_dir = arguments.data / CONFIGURATION_NAME
        configuration = in_data_dir if in_data_dir.exists() else None
    if configuration is not None:
        from territory.settings import load

        settings = load(configuration)
        data_dir = arguments.data.absolute() if arguments.data else settings.archive.data_dir
        url = settings.database_url if settings.archive.database_url else sqlite_url(data_dir / DATABASE_FILE_NAME)
        return DataLocation(data_dir=data_dir, database_url=url)
    if arguments.data is None:
        raise Refused("which archive? give --data DIR or --config FILE")
    data_dir = arguments.data.absolute()
    return DataLocation(data_dir=data_dir, database_url=sqlite_url(data_dir / DATABASE_FILE_NAME))
