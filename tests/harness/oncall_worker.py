"""An engine in a process of its own on the small territory's night, for tests that kill it.

Run as ``python -m tests.harness.oncall_worker URL WORKER ORIGIN_S SPEED``: it does what is due again and again until it
is killed. The night's clock is the machine's, shared by all processes: it shows `BEGIN` when ``time.monotonic()`` shows
ORIGIN_S, and runs SPEED times as fast.
"""

import sys
import threading
import time
from datetime import timedelta
from typing import Final

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation import log
from foundation.database import Database, DatabaseAway
from oncall.engine.sql_store import SqlStore
from tests.harness.small_territory import BEGIN, engine

_TURN_S: Final = 0.01


def main(url: str, worker: str, origin_s: float, speed: float) -> None:
    """Do what is due, for ever."""
    log.configure(level="WARNING", prefix=f"[{worker}] ")
    database = Database(url)
    runner = engine(SqlStore(database), worker=worker)
    pause = threading.Event()
    while True:
        age_s = (time.monotonic() - origin_s) * speed
        try:
            runner.run_due(BEGIN + timedelta(seconds=age_s))
        except DatabaseAway:
            log.warning("database_awaited")
        pause.wait(_TURN_S)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
