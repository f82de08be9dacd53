"""Workers killed between the answer and its send, and between a send and its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from yarl import URL

from tests.support.deployment import QUICK, Deployment, Row, deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

SENT = Answer.json({"key": {"id": "3EB0SENT"}}, status=201)
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
    answer = [Answer.reply("hello")]
    async with HandlerServer([SENT]) as provider, HandlerServer(answer) as handler:
        own = {
            "provider": "evolution",
            "base_url": str(URL(provider.url).origin()),
            "token": "planted-token",
        }
        settings = {
            **QUICK,
            "redis_url": own_redis.url,
            "prefix": PREFIX,
            "handler": handler.url,
            "mode": "pass_through",
            "lease_ms": LEASE_MS,
            "outbox_policy": policy,
            "instances": json.dumps({"shop": own}),
        }
        command = ("-m", "tests.support.probed", "consumer")
        dying = ServiceProcess(
            "consumer",
            tmp_path,
            settings,
            name="dying",
            command=command,
            env={"TEST_PROBE": f"{point}:kill:1"},
        )
        async with deployment(own_redis.url, PREFIX) as made, dying:
            await made.say("ann", "hi")
            await eventually(lambda: not dying.is_running(), f"a death at {point}")
            async with ServiceProcess("consumer", tmp_path, settings, name="next"):

                async def is_done() -> bool:
                    (whats,) = (await ends_of(made)).values() or [[]]
                    return whats == ["answered", end]

                await eventually(is_done, f"one reply that is {end}", 15.0)
                await made.finished()
                texts = [call for call in provider.calls if "sendText" in call.path]
                assert (len(handler.calls), len(texts)) == (handled, sends)
                assert len({call.json["window_id"] for call in handler.calls}) == 1
