"""Says what produced a figure: versions, policy, commit."""

from __future__ import annotations

import platform

import numpy as np
import scipy

from benchmarks import measure
from oncall.reading.policy import DEFAULT


def versions() -> dict[str, str]:
    """Name everything that a night's result depends on, and nothing else: not the time, not the machine."""
    return {
        "commit": measure.commit(),
        "policy": DEFAULT.version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
