"""A paused instance starts nothing on any worker, is held within bounds, and goes on afterwards."""

from __future__ import annotations

from functools import partial

from tests.support.deployment import INSTANCE, Deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.steered_shop import (
    audits_failed,
    balanced,
    held_back,
    open_sizes,
    pause,
    steered,
)
from tests.support.waiting import eventually

OTHER = "clinic"


async def test_a_paused_instance_starts_nothing(redis_url: str, prefix: str) -> None:
    """
    What is in hand ends, what comes is kept and gathers, other instances go on; and when it is
    over all is handled in order.
    """
    users = [f"user-{number}" for number in range(8)]
    gate = {"ann"}

    def answer(call: HandlerCall) -> Answer:
        return Answer(body=b"hi", content_type="text/plain", stalls=call.json["user"] in gate)

    async with (
        steered(redis_url, prefix, HandlerServer(answer), max_messages=2) as steer,
        steer.shop.worker() as first,
        steer.shop.worker() as second,
    ):
        await balanced(first, second)
        await steer.shop.say("ann", "1", "2")
        await steer.server.wait_for_calls(1)
        await pause(steer, first, second)
        await steer.shop.say("ann", "3", "4")
        for user in users:
            await steer.shop.say(user, "1", "2", "3", "4", "5")
        await eventually(lambda: held_back(users, first, second), "windows that are held back")
        steer.server.release()
        await eventually(lambda: held_back(["ann"], first, second), "ann's window ended")

        for user in users:
            await steer.shop.say(user, "a", "b", instance=OTHER)
        await eventually(lambda: len(steer.server.calls) == 1 + len(users), "the other instance")
        assert {call.json["instance"] for call in steer.server.calls[1:]} == {OTHER}
        assert await steer.shop.backlog() == 2 + 5 * len(users)

        await steer.set(paused=None)
        await steer.called("ann", ("1\n2", "max_messages"), ("3\n4", "max_messages"))
        for user in users:
            await steer.called(user, ("1\n2", "max_messages"), ("3\n4", "max_messages"))
        rest = dict.fromkeys(users, 1)
        await eventually(lambda: open_sizes(first, second) == rest, "what is left of them")


async def test_a_pause_holds_whoever_takes_over(redis_url: str, prefix: str) -> None:
    """
    A worker that has just started, after a crash or a restart, starts nothing of it: no new window,
    no next attempt, and none that died with its worker. No audit takes it for forgotten.
    """
    users = ["ann", "bob", "cid"]
    failing = Answer(status=500)

    hanging = Answer(body=b"hi", content_type="text/plain", stalls=True)

    def answer(call: HandlerCall) -> Answer:
        return {"ann": hanging, "bob": failing}[call.json["user"]]

    async with steered(
        redis_url, prefix, HandlerServer(answer), max_messages=1, reclaim_idle_ms=80,
        handler_timeout_ms=60_000, lease_ms=1000, retry_base_ms=200, retry_max_ms=400,
        max_attempts=100,
    ) as steer:  # fmt: skip
        async with steer.shop.worker() as worker:
            await steer.shop.say("ann", "1")
            await steer.shop.say("bob", "1")
            await steer.server.wait_for_calls(2)
            await steer.set(paused=True)
            await eventually(lambda: held_back(["bob"], worker), "bob's next attempt")
            await steer.shop.say("cid", "1")
            await eventually(lambda: held_back(["cid"], worker), "cid's window")
            await worker.crash()
        known = len(steer.server.calls)

        for ends in ("crash", "drain"):
            async with steer.shop.worker(handler_timeout_ms=1) as worker:
                await eventually(partial(held_back, users, worker), "all are held back")
                await eventually(
                    partial(more_audits, steer.shop, await audits(steer.shop)), "audits"
                )
                assert audits_failed(worker) == 0
                if ends == "crash":
                    await worker.crash()
        assert len(steer.server.calls) == known

        steer.server.script = [Answer(status=204)]
        await steer.set(paused=False)
        async with steer.shop.worker():
            await steer.shop.finished()
        assert {call.json["user"] for call in steer.server.calls[known:]} == set(users)


async def audits(shop: Deployment) -> int:
    """How often audits have asked what there is."""
    stats = await shop.redis.info("commandstats")
    return int(stats.get("cmdstat_exists", {}).get("calls", 0))


async def more_audits(shop: Deployment, before: int) -> bool:
    """Whether rounds were made for longer than a record may stand unchanged."""
    return await audits(shop) >= before + 100


async def test_a_paused_flood_is_held_within_bounds(redis_url: str, prefix: str) -> None:
    """Reading stops at ``READ_AHEAD`` entries of a stream, and other instances go on."""
    async with (
        steered(redis_url, prefix, max_messages=1, read_ahead=5, partitions=1) as steer,
        steer.shop.worker() as worker,
    ):
        await worker.owns(1)
        await pause(steer, worker)
        users = [f"user-{number}" for number in range(40)]
        await steer.shop.say(users[0], "1")
        await eventually(lambda: held_back(users[:1], worker), "the first window")
        for user in users[1:]:
            await steer.shop.say(user, "1")
        for number in range(3):
            await steer.shop.say("zoe", f"{number}", instance=OTHER)
        await eventually(lambda: len(steer.server.calls) == 3, "the other instance")
        (partition,) = worker.partitions.values()
        assert partition.memory.stream(INSTANCE).held <= 5
        await steer.set(paused=None)
        await steer.shop.finished()
        assert len(steer.server.calls) == 43


async def test_nobody_is_late_for_what_was_paused(redis_url: str, prefix: str) -> None:
    """Lateness is counted from when it might go on: an alert about it means workers."""
    async with steered(redis_url, prefix, max_messages=1) as steer:
        await steer.set(paused=True)
        (entry,) = await steer.shop.say("ann", "1")
        seconds, _ = await steer.shop.redis.time()
        while int(seconds) * 1000 < entry.ms + 2000:
            seconds, _ = await steer.shop.redis.time()
        async with steer.shop.worker() as worker:
            await eventually(lambda: held_back(["ann"], worker), "a window held back")
            await steer.set(paused=None)
            await steer.shop.finished()
            assert worker.count("window_lateness_seconds_count") == 1
            assert worker.count("window_lateness_seconds_sum") < 2
