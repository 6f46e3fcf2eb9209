"""Time stamps of signed versions, fetched after they were signed and tried again until they are there.

For: one worker beside the engine. Not for: what a stamp is (`oncall.report.time_stamps`). Signing never waits for it:
a report in the night matters more than the hour of an authority, and a version without a stamp says so.

Invariants: a version is stamped once (of two workers the first is kept); a round ends where the authority fails, is
recorded, and the wait before the next one doubles up to a maximum.
"""

import threading
from typing import Final

from foundation import log
from foundation.database import Database, DatabaseAway
from foundation.errors import Unavailable
from oncall.report import store
from oncall.report.time_stamps import TimeStamper, signature_digest

EVERY_S: Final = 2.0
"""Between two looks at what has no stamp yet, in seconds."""

WAIT_S_MAX: Final = 300.0
"""The longest wait for an authority that does not answer."""


class TimeStamping:
    """Stamps what has no stamp.

    Parameters
    ----------
    database : Database
        With the versions.
    stamper : TimeStamper
        The authority.
    """

    def __init__(self, database: Database, stamper: TimeStamper) -> None:
        self._database = database
        self._stamper = stamper
        self._failures = 0

    @property
    def wait_s(self) -> float:
        """How long to wait before the next round."""
        return float(min(EVERY_S * 2**self._failures, WAIT_S_MAX))

    def round(self) -> int:
        """Stamp what is there, oldest first; return how many were. What failed is on record and tried again."""
        done = 0
        try:
            with self._database.read() as connection:
                waiting = store.unstamped(connection)
            for one in waiting:
                answer = self._stamper.stamp(signature_digest(one.signature))
                with self._database.write(durable=True) as connection:
                    done += store.add_time_stamp(connection, one.case_id, one.version, answer)
        except (Unavailable, DatabaseAway) as error:
            self._failures = min(self._failures + 1, 16)
            log.warning("time_stamp_failed", error=type(error).__name__, message=str(error))
        else:
            self._failures = 0
        return done

    def run(self, stopping: threading.Event) -> None:
        """Stamp until told to stop."""
        while not stopping.wait(self.wait_s):
            self.round()
