"""What is set at run time, as workers obey it: at once, on all of them, after any takeover."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from consumer import steersman
from shared.keys import conversation_field
from shared.scripts import load_script
from shared.steering import Value
from shared.steering_store import SteeringStore
from tests.support.deployment import INSTANCE, Deployment, RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.pipes import running_pipe
from tests.support.waiting import eventually

FOREVER_MS = 3_600_000
"""The wait of windows that time must not close in a test."""

OTHER = "clinic"


class Steered:
    """A deployment whose instance is steered."""

    def __init__(self, shop: Deployment, store: SteeringStore, server: HandlerServer) -> None:
        self.shop = shop
        self.store = store
        self.server = server

    async def set(self, instance: str = INSTANCE, **changes: Value | None) -> None:
        """Set values at run time."""
        await self.store.change(instance, changes)

    def calls_of(self, user: str, instance: str = INSTANCE) -> list[tuple[str, str]]:
        """Text and reason of each window of a user that was handed over."""
        return [
            (call.json["text"], call.json["closed_by"])
            for call in self.server.calls
            if (call.json["instance"], call.json["user"]) == (instance, user)
        ]

    async def called(self, user: str, *expected: tuple[str, str]) -> None:
        """Wait until these windows of a user, and no others, were handed over."""
        await eventually(lambda: len(self.calls_of(user)) >= len(expected), f"{expected}")
        assert self.calls_of(user) == list(expected)


@asynccontextmanager
async def steered(
    redis_url: str, prefix: str, server: HandlerServer | None = None, **changes: Any
) -> AsyncIterator[Steered]:
    """No worker yet; windows close with their 50th message, or never."""
    settings = {"max_wait_ms": FOREVER_MS, "max_messages": 50, **changes}
    async with (
        server or HandlerServer() as handler,
        deployment(redis_url, prefix, handler=handler.url, **settings) as shop,
        running_pipe(redis_url) as pipe,
    ):
        yield Steered(shop, SteeringStore(pipe, shop.keys), handler)


def open_sizes(*workers: RunningWorker) -> dict[str, int]:
    """How many messages each open window has gathered, by user."""
    return {
        user: len(state.entries)
        for worker in workers
        for partition in worker.partitions.values()
        for (_, user), state in partition.memory.open.items()
    }


def held_back(users: Iterable[str], *workers: RunningWorker) -> bool:
    """Whether a closed window of each of these users is held back by a pause."""
    paused = [one.memory.paused for worker in workers for one in worker.partitions.values()]
    return all(any((INSTANCE, user) in one._held for one in paused) for user in users)


async def balanced(*workers: RunningWorker) -> None:
    """Wait until two workers have two partitions each."""
    await eventually(lambda: [len(w.owned) for w in workers] == [2, 2], "2 partitions each")


async def test_pass_through_holds_at_once_on_all_workers(redis_url: str, prefix: str) -> None:
    """
    What gathers is cut anew, each message alone, in order; so is all that comes; and switched off,
    messages gather as before.
    """
    users = [f"user-{number}" for number in range(12)]
    async with (
        steered(redis_url, prefix) as steer,
        steer.shop.worker() as first,
        steer.shop.worker() as second,
    ):
        await balanced(first, second)
        for user in users:
            await steer.shop.say(user, "1", "2", "3")
        await eventually(
            lambda: open_sizes(first, second) == dict.fromkeys(users, 3), "open windows"
        )

        await steer.set(mode="pass_through")
        alone = [(text, "pass_through") for text in "123"]
        for user in users:
            await steer.called(user, *alone)
        for user in users:
            await steer.shop.say(user, "4")
            await steer.called(user, *alone, ("4", "pass_through"))

        await steer.set(mode=None, max_messages=2)
        await steer.shop.finished()
        # each worker obeys when it hears of it: both have when nobody's window comes alone
        await eventually(lambda: obey("max_messages", 2, first, second), "both workers")
        for user in users:
            await steer.shop.say(user, "5", "6")
            await steer.called(user, *alone, ("4", "pass_through"), ("5\n6", "max_messages"))
        assert audits_failed(first) == audits_failed(second) == 0


async def pause(steer: Steered, *workers: RunningWorker) -> None:
    """Pause the instance: what comes then is held back, for each has heard of it."""
    await steer.set(paused=True)

    def are_paused() -> bool:
        return all(one.worker._steersman._steering.is_paused(INSTANCE, None) for one in workers)

    await eventually(are_paused, "workers that know of the pause")


def obey(name: str, value: int, *workers: RunningWorker) -> bool:
    """Whether windows that open now are cut by this value."""
    rules = [worker.worker._steersman.rules_of(INSTANCE, None) for worker in workers]
    return all(getattr(one, name) == value and not one.pass_through for one in rules)


async def test_an_open_window_keeps_its_rules(redis_url: str, prefix: str) -> None:
    """A change is for windows that open after it was seen."""
    async with steered(redis_url, prefix) as steer, steer.shop.worker() as worker:
        await steer.shop.say("ann", "1", "2")
        await eventually(lambda: open_sizes(worker) == {"ann": 2}, "an open window")
        await steer.set(max_messages=3, max_wait_ms=FOREVER_MS - 1)
        await eventually(lambda: obey("max_messages", 3, worker), "the change")
        await steer.shop.say("ann", "3", "4")
        await steer.shop.say("bob", "1", "2", "3")
        await steer.called("bob", ("1\n2\n3", "max_messages"))
        await eventually(lambda: open_sizes(worker) == {"ann": 4}, "the window that was open")

        await worker.crash()
        async with steer.shop.worker():
            await steer.called("ann", ("1\n2\n3", "max_messages"))


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


def audits_failed(worker: RunningWorker) -> float:
    """How often this worker's audits have found something."""
    name = "inturn_audits_failed_total"
    families = worker.metrics.registry.collect()
    return sum(one.value for each in families for one in each.samples if one.name == name)


async def test_a_change_is_seen_by_who_takes_over_though_nobody_rang(
    redis_url: str, prefix: str
) -> None:
    """Who changed it died before the bell was rung: a takeover asks by itself."""
    async with steered(redis_url, prefix, max_messages=1) as steer:
        async with steer.shop.worker() as worker:
            await worker.owns(4)
            await write_only(steer, paused=True)
            await worker.crash()
        await steer.shop.say("ann", "1")
        async with steer.shop.worker() as worker:
            await eventually(lambda: held_back(["ann"], worker), "a window held back")
        assert steer.server.calls == []


async def test_a_change_is_seen_though_nobody_rang(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks by itself, too."""
    monkeypatch.setattr(steersman, "LOOK_S", 0.05)
    async with steered(redis_url, prefix) as steer, steer.shop.worker() as worker:
        await worker.owns(4)
        await write_only(steer, mode="pass_through")
        await eventually(
            lambda: worker.worker._steersman.rules_of(INSTANCE, None).pass_through, "the change"
        )


async def write_only(steer: Steered, **changes: Value) -> None:
    """A change whose author dies before it rings."""
    pipe, script = steer.store._pipe, load_script("steer")

    class Dies(Exception):
        """Between the two steps."""

    async def run(*args: Any) -> Any:
        if args[0] is not script:
            raise Dies
        return await type(pipe).script(pipe, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipe, "script", run)
        with pytest.raises(Dies):
            await steer.store.change(INSTANCE, changes)


async def test_a_change_is_seen_after_connections_were_lost(redis_url: str, prefix: str) -> None:
    """Bells that rang meanwhile are not missed."""
    async with steered(redis_url, prefix, max_messages=1) as steer, steer.shop.worker() as worker:
        await worker.owns(4)
        await steer.shop.kill_connections()
        await pause(steer, worker)
        await steer.shop.say("ann", "1")
        await eventually(lambda: held_back(["ann"], worker), "a window held back")
        assert steer.server.calls == []


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


async def test_foreign_settings_stop_no_worker(redis_url: str, prefix: str) -> None:
    """What cannot be read counts as not set, also where the key is no hash."""
    async with steered(redis_url, prefix, max_messages=1) as steer:
        key = steer.shop.keys.settings
        await steer.shop.redis.set(key, "nonsense")
        async with steer.shop.worker():
            await steer.shop.say("ann", "1")
            await steer.shop.finished()
        await steer.shop.redis.delete(key)
        field = conversation_field(INSTANCE, "max_messages").decode()
        await steer.shop.redis.hset(key, mapping={field: "7 nonsense", "revision": "r"})
        async with steer.shop.worker():
            await steer.shop.say("ann", "2")
            await steer.shop.finished()
        assert steer.server.texts() == ["1", "2"]
