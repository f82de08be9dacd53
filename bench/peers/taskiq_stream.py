"""
taskiq with its RedisStreamBroker: one task per message, whose function does nothing.

    python -m bench.peers.taskiq_stream <redis url> <file of bodies>

Sends the tasks, then runs a receiver with taskiq's defaults (100 tasks at once, acknowledged one by
one when they end, entries kept) and ends when the last one is acknowledged. No result is stored.
"""

from __future__ import annotations

import asyncio
import time

import uvloop
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from bench.peers.stored_bodies import GROUP, STREAM, acknowledged, arguments, tell

AT_ONCE = 100


async def main() -> None:
    """Send, then receive until everything is acknowledged."""
    url, bodies = arguments()
    client = Redis.from_url(url)
    broker = RedisStreamBroker(url, queue_name=STREAM, consumer_group_name=GROUP)
    handled, all_handled = 0, asyncio.Event()

    @broker.task
    async def handle(_body: str) -> None:
        nonlocal handled
        handled += 1
        if handled >= len(bodies):
            all_handled.set()

    await broker.startup()
    for at in range(0, len(bodies), AT_ONCE):
        await asyncio.gather(*(handle.kiq(body.decode()) for body in bodies[at : at + AT_ONCE]))
    began_s = time.perf_counter()
    receiver = asyncio.create_task(run_receiver_task(broker), name="receiver")
    await all_handled.wait()
    await acknowledged(client)
    tell(handled, began_s)
    receiver.cancel()
    await asyncio.gather(receiver, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
