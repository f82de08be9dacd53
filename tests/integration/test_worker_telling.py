"""A worker's key says what it has in hand, for the console of every ingest process."""

from __future__ import annotations

from typing import Any

from shared.doing import Doing, decode_doing
from tests.support.deployment import Deployment, RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.waiting import eventually

HOUR_MS = 3_600_000


async def told_by(shop: Deployment, worker: RunningWorker) -> Doing | None:
    """What its key says now."""
    told: Any = shop.redis.hget(shop.keys.worker(worker.worker.id), "doing")
    return decode_doing(await told)


async def until_told(shop: Deployment, worker: RunningWorker, doing: Doing) -> None:
    """Wait until its key says so."""

    async def is_told() -> bool:
        return await told_by(shop, worker) == doing

    await eventually(is_told, f"{doing} in the worker's key")


async def test_what_gathers_and_what_a_handler_has_is_told(redis_url: str, prefix: str) -> None:
    """From nothing over an open window to one in a handler's hand, and back."""
    async with (
        HandlerServer([Answer(body=b"yes", stalls=True)]) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_wait_ms=HOUR_MS,
            max_messages=2,
            handler_concurrency=3,
        ) as shop,
        shop.worker() as worker,
    ):
        await until_told(shop, worker, Doing(slots=3))
        await shop.say("alice", "hello")
        await until_told(shop, worker, Doing(open=1, slots=3))
        await shop.say("alice", "are you open?")
        await until_told(shop, worker, Doing(running=1, slots=3))
        server.release()
        await until_told(shop, worker, Doing(slots=3))


async def test_it_is_told_again_when_the_key_had_to_be_made_anew(
    redis_url: str, prefix: str
) -> None:
    """Whoever has deleted it, or all of Redis: it does not stay silent until something changes."""
    async with deployment(redis_url, prefix) as shop, shop.worker(lease_ms=1000) as worker:
        await until_told(shop, worker, Doing(slots=256))
        await shop.redis.delete(shop.keys.worker(worker.worker.id))
        await until_told(shop, worker, Doing(slots=256))


def test_what_somebody_else_wrote_there_is_nothing() -> None:
    """No damage, and no version that knows more, keeps a page from being shown."""
    assert decode_doing(None) is None
    assert decode_doing(b"{") is None
    assert decode_doing(b'{"open":"many"}') is None
    assert decode_doing(b'{"open":2,"more":1}') == Doing(open=2)
