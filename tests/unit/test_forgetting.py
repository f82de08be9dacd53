"""What a worker makes of wishes to forget, and how it tells that it cannot look for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest
from structlog.testing import capture_logs

from consumer.forgetting import ForgetKeeper
from shared.connect import Pipe
from shared.errors import NotConnected
from shared.keys import Keys, partition_of

KEYS = Keys("t", 16)
ANN, BOB, CID = (("shop", user) for user in ("ann", "bob", "cid"))


async def test_that_nothing_can_be_asked_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look fails for as long as an outage lasts; another outage is told anew."""
    keeper = ForgetKeeper(cast(Pipe, None), KEYS, ())
    looks = iter("xxx.xx")

    async def look() -> bool:
        if next(looks) == "x":
            raise NotConnected("its server is away")
        return True

    monkeypatch.setattr(keeper, "_fulfil_ours", look)
    monkeypatch.setattr("consumer.forgetting.AGAIN_S", 0.0)
    with capture_logs() as lines, pytest.raises(RuntimeError, match="StopIteration"):
        await keeper.run()
    assert [line["event"] for line in lines] == ["forget.delayed"] * 2


def keeper_of(*owned: tuple[str, str], **attrs: Any) -> Any:
    """One that owns the partitions of some, while all three are wished to be forgotten."""
    keeper: Any = ForgetKeeper(cast(Pipe, None), KEYS, {partition_of(*one, 16) for one in owned})
    wishes = {"1": ANN, "2": BOB, "3": CID}
    keeper._wishes = SimpleNamespace(open=AsyncMock(return_value=wishes), fulfil=AsyncMock())
    keeper._forgetter = SimpleNamespace(forget=AsyncMock(return_value=Mock(), **attrs))
    return keeper


def fulfilled(keeper: Any) -> list[str]:
    """The wishes that are said to be."""
    return [call.args[0] for call in keeper._wishes.fulfil.await_args_list]


async def test_what_others_own_is_left_to_them() -> None:
    """It is looked for again soon, for it may be ours by then; what stands behind it goes."""
    assert len({partition_of(*one, 16) for one in (ANN, BOB, CID)}) == 3
    keeper = keeper_of(BOB, CID)
    assert await keeper._fulfil_ours()
    assert [call.args for call in keeper._forgetter.forget.await_args_list] == [BOB, CID]
    assert fulfilled(keeper) == ["2", "3"]
    assert not await keeper_of(ANN, BOB, CID)._fulfil_ours()


async def test_what_fails_is_not_said_to_be_fulfilled() -> None:
    """It is tried again soon, and the others' are fulfilled."""
    answers = [Mock(), NotConnected("its server is away"), Mock()]
    keeper = keeper_of(ANN, BOB, CID, side_effect=answers)
    assert await keeper._fulfil_ours()
    assert fulfilled(keeper) == ["1", "3"]
