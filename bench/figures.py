"""Figures out of many measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report import Void


def percentile(values: Sequence[float], part: float) -> float:
    """
    The smallest value that at least ``part`` (0 to 1) of the values do not exceed.

    Raises:
        Void: there are no values.
    """
    if not values:
        raise Void("nothing was measured")
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one; of an even number the lower of both."""
    return percentile(values, 0.5)
