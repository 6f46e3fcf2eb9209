"""How often and for how long delivery is tried: the bounded back-off, as a pure function.

There is no last attempt: a report that cannot be delivered is tried until a named clinician has acknowledged the
version, a newer one stands for it, or a named person gives it up. Only the wait between attempts has a maximum.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_DIGEST_MAX: Final = float(2**64)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryPolicy:
    """Times in seconds.

    The wait after attempt n is ``first_wait_s`` doubled n - 1 times, at most ``wait_max_s``, less up to ``jitter`` of
    itself (0 to 1), so that what failed together does not come back together.
    """

    version: str = "delivery-1"
    first_wait_s: float = 5.0
    wait_max_s: float = 300.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if not (0 < self.first_wait_s <= self.wait_max_s and 0 <= self.jitter < 1):
            raise ValueError("waits between attempts are positive, the first is no longer than the longest")


DEFAULT_POLICY: Final = DeliveryPolicy()


def wait_after(delivery_id: str, attempts: int, policy: DeliveryPolicy) -> timedelta:
    """Return how long to wait after that many attempts: the same for the same delivery, whoever asks."""
    doubled = min(attempts - 1, 60)
    wait_s = min(policy.first_wait_s * 2.0**doubled, policy.wait_max_s)
    digest = hashlib.sha256(f"{delivery_id}/{attempts}".encode()).digest()
    share = int.from_bytes(digest[:8]) / _DIGEST_MAX
    return timedelta(seconds=wait_s * (1.0 - policy.jitter * share))
