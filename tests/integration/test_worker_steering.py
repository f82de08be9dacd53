"""What is set at run time, as workers obey it: at once, on all of them, after any takeover."""

from __future__ import annotations

from typing import Any

import pytest

from consumer import steersman
from shared.keys import conversation_field
from shared.scripts import load_script
from shared.steering import Value
from tests.support.deployment import INSTANCE, RunningWorker
from tests.support.steered_shop import (
    FOREVER_MS,
    Steered,
    audits_failed,
    balanced,
    held_back,
    open_sizes,
    pause,
    steered,
)
from tests.support.waiting import eventually


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
