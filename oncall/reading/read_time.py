"""How long a read may take, knowing only its kind: a fixed part and a log-normal one around the expected time.

Reading times are right-skewed: the longer a case has been open, the longer it will probably still take. A forecast that
subtracts the elapsed time from the mean says "done any moment" of a case that has turned out to be difficult.
Source: §3.2 (mean and deviation by body part of 42,382 CTs, JMIRO 2016), §3.5 (protocol and telephone).
"""

import math
from dataclasses import dataclass, field
from typing import Final

_SQRT2: Final = math.sqrt(2.0)
# Below this chance of still being open the conditional mean is numerically meaningless.
_TAIL_MIN: Final = 1e-6
# Resolution and end of the table of chances, seconds: orders are compared thousands of times a minute.
STEP_S: Final = 30.0
_TABLE_S: Final = 6 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadTime:
    """Reader time of a kind of exam, seconds: `fixed_s` (protocol, telephone) plus a log-normal of mean and deviation.

    ``chances`` is the probability of being done after 0, 30, 60, ... seconds.
    """

    fixed_s: float
    mean_s: float
    sd_s: float
    chances: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = tuple(self._chance(step * STEP_S) for step in range(int(_TABLE_S / STEP_S)))
        object.__setattr__(self, "chances", table)

    @property
    def expected_s(self) -> float:
        """Everything included."""
        return self.fixed_s + self.mean_s

    def remaining_s(self, elapsed_s: float) -> float:
        """Return the expected time still needed by a read that has been open for `elapsed_s`."""
        beyond_s = elapsed_s - self.fixed_s
        if beyond_s <= 0.0:
            return self.expected_s - max(elapsed_s, 0.0)
        shape, middle = self._shape()
        z = (math.log(beyond_s) - middle) / shape
        still_open = _normal(-z)
        if still_open < _TAIL_MIN:
            return beyond_s
        return self.mean_s * _normal(shape - z) / still_open - beyond_s

    def _chance(self, within_s: float) -> float:
        beyond_s = within_s - self.fixed_s
        if beyond_s <= 0.0:
            return 0.0
        shape, middle = self._shape()
        return _normal((math.log(beyond_s) - middle) / shape)

    def _shape(self) -> tuple[float, float]:
        """Return deviation and mean of the logarithm."""
        variance = math.log1p((self.sd_s / self.mean_s) ** 2)
        return math.sqrt(variance), math.log(self.mean_s) - variance / 2.0


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / _SQRT2)
