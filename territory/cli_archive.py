"""``telegarde verify`` and ``telegarde reindex``: proving the archive, and building its index anew."""

import argparse

from foundation import log
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.archive import recovery
from pacs.archive.verify import verify
from territory.cli_output import answer, progress
from territory.cli_place import Place, place_of
from territory.node_lock import node_stopped


def run(arguments: argparse.Namespace) -> int:
    """Run ``verify`` or ``reindex``."""
    place = place_of(arguments)
    log.configure()
    return _verify(arguments, place) if arguments.command == "verify" else _reindex(arguments, place)


def _verify(arguments: argparse.Namespace, place: Place) -> int:
    database = place.open_database()
    try:
        with progress("verify", unit="bytes") as advance:
            report = verify(database, place.journal, advance)
    finally:
        database.close()
    title = "Every byte is as it was received" if report.is_whole else "SOMETHING IS WRONG; the log says where"
    answer(arguments, report.to_json(), title=title)
    return 0 if report.is_whole else 1


def _reindex(arguments: argparse.Namespace, place: Place) -> int:
    # Unlike other commands it may begin without an index.
    with node_stopped(place.data_dir):
        database = Database(place.database_url)
        try:
            database.create_tables()
            with progress("reindex", unit="bytes") as advance:
                report = recovery.reindex(database, place.journal, SystemClock(), advance)
        finally:
            database.close()
    answer(
        arguments,
        {"packs": report.packs, "members": report.members, "instances": report.recovered},
        title="The index is new; telegarde verify proves it",
    )
    return 0
