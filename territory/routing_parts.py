"""The object graph of routing: what forwards studies and watches sites, as one thing to start and to stop.

For: which object gets which other; the process of the interfaces hosts it. Not for: behaviour (`pacs.routing`).
"""

import threading

from foundation.clock import Clock, SteadyClock, SystemClock
from foundation.database import Database
from territory.settings import Settings


def has_routing(settings: Settings) -> bool:
    """Say whether there is anything to forward or to watch."""
    return bool(settings.routes or settings.watched_sites or settings.routing.watch_every_site)


class RoutingParts:
    """Forwarding and the watch over sites, on one database.

    Parameters
    ----------
    settings : Settings
    worker : str
        Name of this life of the process; never used again after its death.
    clock : Clock, optional
        The machine's by default.
    """

    def __init__(self, settings: Settings, *, worker: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._worker = worker
        self._clock = SteadyClock(clock or SystemClock())
        self._database = Database(settings.database_url, is_checkpointed_elsewhere=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin, in threads of its own; returns at once."""

    def stop(self) -> None:
        """End after the instances in hand, within a bound; what is unsent stays in the queue."""
        self._stopping.set()
        self._database.close()
