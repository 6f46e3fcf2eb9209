"""Rows of figures kept up to date beside the engine, so that a month is read in seconds and not made first.

For: one worker of the on-call process. Not for: making rows (`oncall.figures.projection`): whoever asks for figures
brings them up to the last event itself, and finds little to do.

Invariant: nothing waits for it, and a round that fails is tried again.
"""

import threading
from typing import Final

from foundation import log
from foundation.database import Database, DatabaseAway
from oncall.figures.projection import catch_up

EVERY_S: Final = 60.0
"""Between two rounds, in seconds."""


class FigureUpkeep:
    """Takes what has happened into the rows, once a minute.

    Parameters
    ----------
    database : Database
        With the log and the rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def round(self) -> int:
        """Take in what is new; return how many rows were written, 0 too when the database is away."""
        try:
            return catch_up(self._database)
        except DatabaseAway as error:
            log.warning("figures_wait_for_the_database", error=type(error).__name__)
            return 0

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop."""
        while not stopping.wait(EVERY_S):
            self.round()
