"""An instance with a channel: the provider at its other end is an endpoint of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from yarl import URL

from shared.instance_settings import InstanceSettings, Secret
from tests.support.deployment import Deployment, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, Script
from tests.support.waiting import eventually

SENT = Answer.json({"key": {"id": "3EB0SENT"}}, status=201)
"""Evolution takes a text."""


def channel_to(provider: HandlerServer, **own: Any) -> InstanceSettings:
    """The settings of an instance whose Evolution ``provider`` plays."""
    return InstanceSettings(
        provider="evolution",
        base_url=str(URL(provider.url).origin()),
        token=Secret("planted-token"),
        **own,
    )


def echoed(call: HandlerCall) -> Answer:
    """A handler that shows which window it answered."""
    return Answer.reply(f"to {call.json['text']}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A deployment whose instance ``shop`` has a channel, with both ends of it."""

    deployment: Deployment
    provider: HandlerServer
    handler: HandlerServer

    def texts(self) -> list[str]:
        """What the provider was asked to send, in order."""
        return [call.json["text"] for call in self.provider.calls]

    async def sent(self, count: int) -> None:
        """Wait until the journal knows ``count`` replies as sent."""

        async def is_sent() -> bool:
            rows = await self.deployment.journal()
            return sum(row["what"] == "sent" for row in rows) == count

        await eventually(is_sent, f"{count} replies in the journal")


@asynccontextmanager
async def shop_with(
    redis_url: str,
    prefix: str,
    *,
    send: Script = (SENT,),
    answer: Script = echoed,
    on_human: str | None = None,
    **changes: Any,
) -> AsyncIterator[Shop]:
    """``send`` plays Evolution, ``answer`` the handler; each message is a window of its own."""
    async with HandlerServer(send) as provider, HandlerServer(answer) as handler:
        own = channel_to(provider, on_human=on_human)
        changes = {"handler": handler.url, "mode": "pass_through", **changes}
        async with deployment(redis_url, prefix, instances={"shop": own}, **changes) as made:
            yield Shop(deployment=made, provider=provider, handler=handler)
