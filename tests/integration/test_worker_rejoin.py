"""A worker that had to join again lets go of what it began before: others may have it by now."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.membership import Membership
from consumer.outbox import OutboxStore
from consumer.store import PartitionStore
from shared.instance_settings import InstanceSettings, Secret
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


class Missed:
    """While the first answer of ``method`` is on its way, the others miss this worker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        self.calls = 0
        members: list[Membership] = []
        made, original = Membership.__init__, getattr(owner, method)

        def remember(membership: Membership, *args: Any, **named: Any) -> None:
            made(membership, *args, **named)
            members.append(membership)

        async def late(*args: Any) -> Any:
            self.calls += 1
            answer = await original(*args)
            if self.calls == 1:
                for membership in members:
                    membership.joins += 1
            return answer

        monkeypatch.setattr(Membership, "__init__", remember)
        monkeypatch.setattr(owner, method, late)


async def test_a_start_answered_after_a_rejoin_calls_no_handler(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is given back uncounted, and handed out by a second start."""
    missed = Missed(monkeypatch, PartitionStore, "start")
    starts: list[int] = []

    async def script(_call: HandlerCall) -> Answer:
        starts.append(missed.calls)
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_messages=1) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
    assert starts == [2]
    assert [call.json["attempt"] for call in server.calls] == [1]


async def test_a_send_begun_before_a_rejoin_is_given_back(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider is called once, and only under the second record."""
    missed = Missed(monkeypatch, OutboxStore, "send")
    begun: list[int] = []

    async def send(_call: HandlerCall) -> Answer:
        begun.append(missed.calls)
        return Answer.json({"key": {"id": "S"}}, status=201)

    async with HandlerServer(send) as provider:
        base_url = provider.url.rsplit("/", 1)[0]
        own = InstanceSettings(provider="evolution", base_url=base_url)
        own = own.model_copy(update={"token": Secret("t")})
        async with (
            HandlerServer([Answer.reply("yes")]) as server,
            deployment(
                redis_url, prefix, handler=server.url, max_messages=1, instances={"shop": own}
            ) as shop,
            shop.worker(),
        ):
            await shop.say("alice", "hello")

            async def is_sent() -> bool:
                return [row["what"] for row in await shop.journal()] == ["answered", "sent"]

            await eventually(is_sent, "the reply in the journal")
    assert begun == [2]
