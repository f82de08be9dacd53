"""``ON_HUMAN``: what may be written, and whose setting counts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.on_human import mute_ms_of, parse_mute_ms
from shared.settings import Settings

LONG = "mute:" + "9" * 5000


@pytest.mark.parametrize(
    "value, mute_ms",
    [("ignore", 0), ("mute:1", 60_000), ("mute:30", 1_800_000), ("mute:10080", 604_800_000)],
)
def test_minutes_are_ms(value: str, mute_ms: int) -> None:
    """Up to a week."""
    assert parse_mute_ms(value) == mute_ms


@pytest.mark.parametrize(
    "value",
    ["", "mute", "mute:", "mute:0", "mute:-5", "mute:1.5", "mute:10081", "mute:٣", "off", LONG],
)
def test_anything_else_is_refused_at_start(value: str) -> None:
    """With the setting's name, in general and for an instance."""
    with pytest.raises(ValidationError, match="mute:<minutes>"):
        Settings(on_human=value)
    with pytest.raises(ValidationError, match="mute:<minutes>"):
        Settings(instances={"shop": {"on_human": value}})


def test_an_instances_own_setting_counts_more() -> None:
    """Also ``ignore``; and for one that nobody names, its connection's."""
    settings = Settings(
        on_human="mute:10",
        instances={"shop": {"on_human": "ignore"}, "line": {"on_human": "mute:1"}},
    )
    assert mute_ms_of(settings, "shop", None) == 0
    assert mute_ms_of(settings, "unnamed", None) == 600_000
    assert mute_ms_of(settings, "unnamed", "line") == 60_000
    assert mute_ms_of(settings, "shop", "line") == 0
