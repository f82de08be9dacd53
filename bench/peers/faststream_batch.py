"""
FastStream: a batch subscriber of a Redis stream, in a consumer group, whose handler does nothing.

    python -m bench.peers.faststream_batch <redis url> <file of bodies>

Stores the bodies as FastStream publishes them, takes them 500 at a time, and ends when the last one
is acknowledged: one XACK per batch. It decodes each body. It cuts no windows and deletes nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.parser import BinaryMessageFormatV1
from redis.asyncio import Redis

from bench.peers.stored_bodies import GROUP, STREAM, acknowledged, arguments, tell

BATCH = 500


async def main() -> None:
    """Store, then subscribe until everything is acknowledged."""
    url, bodies = arguments()
    client = Redis.from_url(url)
    await store(client, bodies)
    broker = RedisBroker(url, logger=None)
    handled, all_handled = 0, asyncio.Event()
    stream = StreamSub(
        STREAM, group=GROUP, consumer="peer", batch=True, max_records=BATCH, last_id="0"
    )

    @broker.subscriber(stream=stream)
    async def handle(messages: list[Any]) -> None:
        nonlocal handled
        handled += len(messages)
        if handled >= len(bodies):
            all_handled.set()

    began_s = time.perf_counter()
    await broker.start()
    await all_handled.wait()
    await acknowledged(client)
    tell(handled, began_s)
    await broker.stop()


async def store(client: Redis, bodies: list[bytes]) -> None:
    """Add each body in the envelope that ``broker.publish`` gives it."""
    for at in range(0, len(bodies), BATCH):
        async with client.pipeline(transaction=False) as pipeline:
            for number, body in enumerate(bodies[at : at + BATCH], at):
                envelope = await BinaryMessageFormatV1.encode(
                    message=body,
                    reply_to=None,
                    headers={"content-type": "application/json"},
                    correlation_id=str(number),
                )
                pipeline.xadd(STREAM, {"__data__": envelope})
            await pipeline.execute()


if __name__ == "__main__":
    uvloop.run(main())
