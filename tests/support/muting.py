"""A shop with a channel in which a person may answer by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ingest.echoes import EchoJudge
from shared.mutes import Mutes
from shared.providers import Echo
from shared.trace import Trace
from tests.support.channel import Shop, shop_with
from tests.support.handler_server import Answer, HandlerCall, Script
from tests.support.pipes import running_pipe


@dataclass(frozen=True, slots=True, kw_only=True)
class MutingShop(Shop):
    """With what ingest does about echoes and mutes."""

    judge: EchoJudge
    trace: Trace
    mutes: Mutes

    async def hears_echo(self, message_id: str, user: str = "ann") -> str:
        """The provider reports a message that left the account; what ingest counts it as."""
        echo = Echo(instance="shop", user=user, message_id=message_id)
        ((kind, count),) = (await self.judge.judge("shop", [echo])).items()
        assert count == 1
        return kind

    async def outcomes(self) -> list[str]:
        """What became of windows, in order."""
        return [row["what"] for row in await self.deployment.journal() if row["what"] != "sent"]


def taken(call: HandlerCall) -> Answer:
    """The provider takes a text; its id tells which."""
    return Answer.json({"key": {"id": f"id of {call.json['text']}"}}, status=201)


@asynccontextmanager
async def muting_shop(
    redis_url: str,
    prefix: str,
    *,
    send: Script = taken,
    on_human: str = "mute:5",
    **changes: Any,
) -> AsyncIterator[MutingShop]:
    """As ``shop_with``; each text that the provider takes has an id of its own."""
    async with (
        shop_with(redis_url, prefix, send=send, on_human=on_human, **changes) as shop,
        running_pipe(redis_url) as pipe,
    ):
        made = shop.deployment
        yield MutingShop(
            deployment=made,
            provider=shop.provider,
            handler=shop.handler,
            judge=EchoJudge(pipe, made.keys, made.settings),
            trace=Trace(pipe, made.keys),
            mutes=Mutes(pipe, made.keys),
        )
