"""The metronome: APScheduler 3 as a ticker that asks "what is due", and nothing more.

No job is stored in it and none of its times matter: what is due when is in `oncall.timers`. A tick that takes longer
than the interval swallows the next ones.
"""

from collections.abc import Callable
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from foundation import log
from foundation.errors import TelegardeError

TICK_EVERY_S: Final = 1.0
"""How late a due action may be for the ticker's sake; a page waits minutes for its answer."""


class Metronome:
    """Calls `tick` again and again from one thread until stopped.

    Parameters
    ----------
    tick : callable
        May raise: it is logged, and the next tick comes.
    every_s : float
        Between two ticks.
    """

    def __init__(self, tick: Callable[[], None], *, every_s: float = TICK_EVERY_S) -> None:
        self._tick = tick
        self._scheduler = BackgroundScheduler(timezone="UTC", daemon=True)
        self._scheduler.add_job(
            self._beat, IntervalTrigger(seconds=every_s, timezone="UTC"), max_instances=1, coalesce=True,
            misfire_grace_time=None,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """End after the tick in hand."""
        self._scheduler.shutdown(wait=True)

    def _beat(self) -> None:
        try:
            self._tick()
        except TelegardeError as error:
            log.warning("tick_failed", error=type(error).__name__, message=str(error))
        except Exception as error:  # noqa: BLE001  # edge of a thread: one tick's defect must not end the ticking
            log.error("tick_failed", error=type(error).__name__)
