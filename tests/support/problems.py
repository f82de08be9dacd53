"""What a start with the settings of a test is refused for."""

from __future__ import annotations

import pytest

from shared.errors import StartRefused
from shared.settings import load_settings


def problems() -> tuple[str, ...]:
    """What ``load_settings`` refuses to start with."""
    with pytest.raises(StartRefused) as refused:
        load_settings()
    return refused.value.problems
