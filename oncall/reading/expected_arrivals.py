"""How many cases are still to come, and when: what the forecast looks ahead to.

The hourly profile is known; how busy this night is shows in what has come so far. The estimate is a gamma posterior: it
begins at the usual night and follows the night's own count more and more.
Source: §3.5 (relative rates by hour; peak 20:30 to midnight per IMADIS and ANAP).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_DAY_S: Final = 86_400.0
_HALF: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivalProfile:
    """Usual arrivals of one period of duty, from the first to the last of `changes_s`.

    ``changes_s`` are local seconds after midnight of the day on which the period begins; `rates` are relative, one for
    each span between two changes; ``usual_cases`` come in a usual period, and that is believed as much as
    `usual_weight_cases` cases of evidence.
    """

    changes_s: tuple[float, ...]
    rates: tuple[float, ...]
    usual_cases: float
    usual_weight_cases: float

    def share_before(self, at_s: float) -> float:
        """Return the share of the period's cases that is expected before `at_s` (local, as `changes_s`)."""
        whole = sum(
            (end - start) * rate for (start, end), rate in zip(pairwise(self.changes_s), self.rates, strict=True)
        )
        before = sum(
            max(0.0, min(at_s, end) - start) * rate
            for (start, end), rate in zip(pairwise(self.changes_s), self.rates, strict=True)
        )
        return before / whole

    def instant_of(self, share: float) -> float:
        """Return when that share of the period's cases has come: the inverse of `share_before`."""
        spans = list(zip(pairwise(self.changes_s), self.rates, strict=True))
        left = share * sum((end - start) * rate for (start, end), rate in spans)
        for (start, end), rate in spans:
            part = (end - start) * rate
            if left <= part and rate > 0.0:
                return start + left / rate
            left -= part
        return self.changes_s[-1]


def expected_arrivals(
    profile: ArrivalProfile, now_s: float, utc_offset_s: float, ready_times_s: tuple[float, ...], horizon_s: float
) -> tuple[float, ...]:
    """Return when (UTC seconds) the next cases are expected within `horizon_s`; none outside the period.

    Each instant is that of the middle of one expected case.
    """
    local_s = now_s + utc_offset_s
    since_midnight_s = local_s % _DAY_S
    if since_midnight_s + _DAY_S < profile.changes_s[-1]:
        since_midnight_s += _DAY_S
    if not profile.changes_s[0] <= since_midnight_s < profile.changes_s[-1]:
        return ()
    begun_s = now_s - (since_midnight_s - profile.changes_s[0])
    seen = sum(1 for ready_s in ready_times_s if begun_s <= ready_s <= now_s)
    so_far = profile.share_before(since_midnight_s)
    weight = profile.usual_weight_cases
    tonight = profile.usual_cases * (weight + seen) / (weight + profile.usual_cases * so_far)
    until = profile.share_before(min(since_midnight_s + horizon_s, profile.changes_s[-1]))
    count = int((until - so_far) * tonight + _HALF)
    shift_s = now_s - since_midnight_s
    return tuple(profile.instant_of(so_far + (number + _HALF) / tonight) + shift_s for number in range(count))
