"""Whether a destination can be reached, and when to ask next: island mode, as pure steps.

A destination that is away is asked by one probe at a time, after growing waits; nothing is sent there meanwhile, and
what waits keeps its place and its number of attempts. On its return the queue goes on: emergencies first, then oldest.

Not for: asking (`pacs.routing.worker`), or rows (`pacs.routing.destinations`).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from pacs.routing.model import RetryPolicy, wait_after


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What is known of the way to a destination; ``away_since`` and ``probe_at`` are None while it can be reached."""

    destination: str
    away_since: datetime | None = None
    probes: int = 0
    probe_at: datetime | None = None
    reason: str = ""

    @property
    def is_away(self) -> bool:
        """Say whether nothing may be sent there now."""
        return self.away_since is not None

    def is_probe_due(self, now: datetime) -> bool:
        """Say whether it is time to ask."""
        return self.probe_at is not None and self.probe_at <= now


def lost(reach: Reach, now: datetime, reason: str, policy: RetryPolicy) -> Reach:
    """Return what is so after an attempt or a probe found nobody."""
    probes = reach.probes + 1
    return replace(
        reach,
        away_since=reach.away_since or now,
        probes=probes,
        probe_at=now + wait_after(reach.destination, probes, policy),
        reason=reason,
    )


def found(reach: Reach) -> Reach:
    """Return what is so after it answered."""
    return Reach(destination=reach.destination)
