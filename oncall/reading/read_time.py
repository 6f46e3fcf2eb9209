"""How long a read may take, knowing only its kind: a log-normal around the expected time.

Reading times are right-skewed: the longer a case has been open, the longer it will probably still take. A forecast that
subtracts the elapsed time from the mean says "done any moment" of a case that has turned out to be difficult.
Source: §3.2 (mean and deviation by body part measured on 42,382 CTs, JMIRO 2016).
"""

import math
from dataclasses import dataclass
from typing import Final

_SQRT2: Final = math.sqrt(2.0)
# Below this chance of still being open the conditional mean is numerically meaningless; the mean residual is used.
_TAIL_MIN: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadTime:
    """Expected reader time of a kind of exam, telephone and protocol included, and its standard deviation, seconds."""

    mean_s: float
    sd_s: float

    @property
    def variation(self) -> float:
        """Standard deviation over mean."""
        return self.sd_s / self.mean_s


def chance_within(expected_s: float, variation: float, within_s: float) -> float:
    """Return the probability that a read expected to take `expected_s` takes at most `within_s`."""
    if within_s <= 0.0:
        return 0.0
    shape2 = math.log1p(variation * variation)
    shape = math.sqrt(shape2)
    return _normal((math.log(within_s / expected_s) + shape2 / 2.0) / shape)


def remaining_s(expected_s: float, variation: float, elapsed_s: float) -> float:
    """Return the expected time still needed by a read that has been open for `elapsed_s` seconds."""
    if elapsed_s <= 0.0:
        return expected_s
    shape2 = math.log1p(variation * variation)
    shape = math.sqrt(shape2)
    z = (math.log(elapsed_s / expected_s) + shape2 / 2.0) / shape
    still_open = _normal(-z)
    if still_open < _TAIL_MIN:
        return elapsed_s
    return expected_s * _normal(shape - z) / still_open - elapsed_s


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / _SQRT2)
