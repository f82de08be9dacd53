"""How a worker tells that it cannot look whom to forget."""

from __future__ import annotations

from typing import cast

import pytest
from structlog.testing import capture_logs

from consumer.forgetting import ForgetKeeper
from shared.connect import Pipe
from shared.errors import NotConnected
from shared.keys import Keys


async def test_that_nothing_can_be_asked_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look fails for as long as an outage lasts; another outage is told anew."""
    keeper = ForgetKeeper(cast(Pipe, None), Keys("t", 16), ())
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
