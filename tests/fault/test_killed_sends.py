"""Workers killed between the answer and its send, and between a send and its record."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from yarl import URL

from tests.support.channel import SENT
from tests.support.deployment import QUICK, Deployment, Row, deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

PREFIX = "killed"
LEASE_MS = 1000

# Where the worker dies, what then stands in Redis, and how often handler and provider are called
# until all is done, where the instance's policy is to send again, and where it is to hold.
ENDS = [
    ("handler", "resend", 2, 1, "sent"),
    ("handler", "hold", 2, 1, "sent"),
    ("finish", "resend", 1, 1, "sent"),
    ("finish", "hold", 1, 1, "sent"),
    ("sending", "resend", 1, 1, "sent"),
    ("sending", "hold", 1, 0, "held"),
    ("send", "resend", 1, 2, "sent"),
    ("send", "hold", 1, 1, "held"),
]


async def ends_of(made: Deployment) -> dict[str, list[str]]:
    """Of each window: its rows in the journal, its replies, and why one is held."""
    found: dict[str, list[str]] = {}
    for row in await made.journal():
        found.setdefault(row["window"], []).append(row["what"])
    for number in range(made.settings.partitions):
        partition = made.keys.partition(number)
        rows = cast("list[Row]", await made.redis.xrange(partition.outbox))
        for reply_id, fields in rows:
            window = json.loads(fields[b"m"])["window_id"]
            record = cast("bytes | None", await made.redis.hget(partition.sending, reply_id))
            is_held = record is not None and json.loads(record)["held"]
            found.setdefault(window, []).append("held" if is_held else "waiting")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A worker that dies at a point of the way of one message, and one that comes after it."""

    made: Deployment
    handler: HandlerServer
    provider: HandlerServer

    def texts(self) -> list[str]:
        """What the provider was asked to send, in order."""
        return [call.json["text"] for call in self.provider.calls if "sendText" in call.path]

    async def ended_as(self, end: str) -> None:
        """Wait until the window's only reply is what it is to be."""

        async def is_so() -> bool:
            (whats,) = (await ends_of(self.made)).values() or [[]]
            return whats == ["answered", end]

        await eventually(is_so, f"one reply that is {end}", 15.0)
        await self.made.finished()


@asynccontextmanager
async def death(
    redis: RedisServer, folder: Path, *, at: str, policy: str, texts: tuple[str, ...]
) -> AsyncIterator[Death]:
    """A message whose first worker is killed at ``<point>:kill:<pass>``; inside, the next runs."""
    async with HandlerServer([SENT]) as provider, HandlerServer([Answer.reply(*texts)]) as handler:
        own = {
            "provider": "evolution",
            "base_url": str(URL(provider.url).origin()),
            "token": "planted-token",
        }
        settings = {
            **QUICK,
            "redis_url": redis.url,
            "prefix": PREFIX,
            "handler": handler.url,
            "mode": "pass_through",
            "lease_ms": LEASE_MS,
            "outbox_policy": policy,
            "instances": json.dumps({"shop": own}),
        }
        command = ("-m", "tests.support.probed", "consumer")
        dying = ServiceProcess(
            "consumer", folder, settings, name="dying", command=command, env={"TEST_PROBE": at}
        )
        async with deployment(redis.url, PREFIX) as made, dying:
            await made.say("ann", "hi")
            assert await dying.ended() == -signal.SIGKILL, f"no death at {at}"
            async with ServiceProcess("consumer", folder, settings, name="next"):
                yield Death(made=made, handler=handler, provider=provider)


@pytest.mark.parametrize("point, policy, handled, sends, end", ENDS)
async def test_one_reply_whatever_its_worker_died_of(
    own_redis: RedisServer,
    tmp_path: Path,
    point: str,
    policy: str,
    handled: int,
    sends: int,
    end: str,
) -> None:
    """One entry in the outbox per window id, by the policy, and no send asks the handler."""
    at = f"{point}:kill:1"
    async with death(own_redis, tmp_path, at=at, policy=policy, texts=("hello",)) as after:
        await after.ended_as(end)
        assert (len(after.handler.calls), len(after.texts())) == (handled, sends)
        assert len({call.json["window_id"] for call in after.handler.calls}) == 1


@pytest.mark.parametrize(
    "policy, sent, end",
    [("resend", ["one", "two", "two", "three"], "sent"), ("hold", ["one", "two"], "held")],
)
async def test_only_the_text_in_doubt_may_be_sent_twice(
    own_redis: RedisServer, tmp_path: Path, policy: str, sent: list[str], end: str
) -> None:
    """Of three texts the first had left and was written down; the second was only sent."""
    texts = ("one", "two", "three")
    async with death(own_redis, tmp_path, at="send:kill:2", policy=policy, texts=texts) as after:
        await after.ended_as(end)
        assert after.texts() == sent
        assert len(after.handler.calls) == 1
