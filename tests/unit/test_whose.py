"""Whose a value is: told by its names, in any version; of what is damaged, by the id in it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.forget.whose import Whose, is_window

SHOP, OTHER = "shop", "other"
ANA, BEN = "4917", "49171"
QUOTED = 'a "b"'
DEEP = "[" * 10_000 + "]" * 10_000


def value(**fields: Any) -> bytes:
    """As a later version may write it."""
    return orjson.dumps({"v": 99, **fields})


def raw(user: str) -> str:
    """What is kept of an entry that could not be read."""
    return f"m {value(user=user).decode()[:-1]}"


@pytest.mark.parametrize("user", [ANA, QUOTED])
def test_what_names_the_user_is_theirs(user: str) -> None:
    """Itself, by its window, by the entry that could not be read, or anywhere where it does not."""
    whose = Whose(SHOP, user)
    assert whose.has(value(instance=SHOP, user=user))
    assert whose.has(value(user=user), instance=SHOP)
    assert whose.has(value(instance=SHOP, window={"user": user}))
    assert whose.has(value(window={"instance": SHOP, "user": user}))
    assert whose.has(value(instance=SHOP, raw=raw(user)))
    assert whose.has(value(instance=SHOP, whom=[user]))


@pytest.mark.parametrize(
    "fields",
    [
        {"instance": OTHER, "user": ANA},
        {"instance": OTHER, "window": {"user": ANA}},
        {"window": {"instance": OTHER, "user": ANA}},
        {"instance": OTHER, "raw": raw(ANA)},
        {"instance": SHOP, "user": BEN},
        {"instance": SHOP, "user": BEN, "texts": [ANA]},
        {"instance": SHOP, "window": {"user": BEN, "texts": [ANA]}},
        {"instance": SHOP, "raw": raw(BEN)},
        {"instance": SHOP, "whom": [BEN]},
    ],
)
def test_what_names_somebody_else_is_not(fields: dict[str, Any]) -> None:
    """Another account's user of that id, one whose id begins so, one who wrote of the user."""
    assert not Whose(SHOP, ANA).has(value(**fields))


def test_what_is_damaged_is_whose_id_stands_in_it() -> None:
    """Cut off, nested without end, or a dead letter with an entry in it."""
    whose = Whose(SHOP, ANA)
    deep = value(user=ANA)[:-1] + f',"x":{DEEP}}}'.encode()
    for torn in (value(user=ANA)[:-1], value(raw=raw(ANA))[:-1], deep):
        assert whose.has(torn)
        assert whose.has(torn, instance=SHOP)
        assert not whose.has(torn, instance=OTHER)
        assert not Whose(SHOP, BEN).has(torn)
        assert not is_window(torn)


def test_only_what_carries_a_window_is_one() -> None:
    """Whenever it was handed over again, what is in it is old."""
    assert is_window(value(window={"user": ANA}))
    assert not is_window(value(user=ANA))
