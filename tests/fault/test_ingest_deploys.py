"""F15 at ingest: a deploy while requests are in flight."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.evidence import Said, Sent
from ops.chaos.load import Load
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.waiting import eventually
from tests.support.fault_bench import assert_ledger, say

GIVES_UP_S = 1.0
"""What Redis takes no sooner ingest may refuse; the test holds it up for less than half of that."""

pytestmark = pytest.mark.timeout(240)


async def test_rolling_restart_of_ingest(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """SIGTERM while Redis holds requests up: each is answered, nothing accepted is lost."""
    load = Load(instances=4, users_per_instance=50, per_s=200.0, writers=60, poison_rate=0.0)
    options = Options(workers=1, load=load, settings={"on_outage": "reject"})
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.writers.start()
        for slot in ("i1", "i2"):
            await asyncio.sleep(1.0)
            await stop_with_requests_in_flight(made, private_redis, slot)
            made.spawn(slot, "ingest")
            await made.running[slot].ready()
        await assert_ledger(made)


async def stop_with_requests_in_flight(made: Bench, redis: PrivateRedis, slot: str) -> None:
    """What waits for Redis as SIGTERM comes is answered: 202, if Redis was not held up for long."""

    def in_flight() -> list[Sent]:
        sent = made.ledger.evidence.sent.values()
        return [s for s in sent if not s.posts and made.sender.ingest_of(s.who) == slot]

    leaving = made.running[slot]
    paused_s = time.monotonic()
    redis.pause()
    try:
        await eventually(lambda: len(in_flight()) >= 5, "requests in flight")
        held = in_flight()
        await leaving.metrics()  # answered after what had come before it was taken in
        ending = asyncio.create_task(leaving.stop())
        await asyncio.sleep(0.2)
        assert leaving.is_running(), "void: it had nothing to wait for"
    finally:
        redis.resume()
        held_s = time.monotonic() - paused_s
    assert await ending == 0
    await eventually(lambda: all(sent.posts for sent in held), "answers")
    refused = [sent.posts[0] for sent in held if sent.posts[0].said is not Said.OK]
    assert not refused or held_s >= GIVES_UP_S / 2, refused
    assert all(post.status == 503 and post.took_s >= GIVES_UP_S for post in refused), refused
    say(f"{len(held)} requests were in flight at the SIGTERM of {leaving.name}")
