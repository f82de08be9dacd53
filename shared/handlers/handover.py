"""
``mute_s`` in an answer: the handler gives the user to a person for so many seconds. Pure.

It may stand beside any reply, or alone. Its reply is still sent; the windows after it are finished
in silence until the time is over or somebody unmutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.on_human import MINUTES_MAX

FIELD = "mute_s"

MUTE_MAX_MS = MINUTES_MAX * 60_000
"""As long as a person may mute: a longer time is taken for this one."""


def mute_ms_in(fields: Mapping[Any, Any]) -> int:
    """For how long to mute; 0 where the field is none, or holds no time."""
    value = fields.get(FIELD)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    if not value > 0:  # also what is not a number
        return 0
    return MUTE_MAX_MS if value * 1000 >= MUTE_MAX_MS else math.ceil(value * 1000)
