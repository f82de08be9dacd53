"""Windows that wait for a slow handler: what they cost, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from shared.handlers.threads import THREADS_MAX
from shared.instance_settings import InstanceSettings
from tests.support import functions
from tests.support.deployment import Deployment, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

WAITING = 500
FUNCTION = "python:tests.support.functions:"


@pytest.fixture(autouse=True)
def new_gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closed at the begin of each test, open after it."""
    functions.calls.clear()
    functions.gate.clear()
    monkeypatch.setattr(functions, "opened", asyncio.Event())
    yield
    functions.gate.set()


async def say_all(shop: Deployment, count: int, text: str, instance: str = "shop") -> None:
    """A message of each of so many users, which is a window at once."""
    await asyncio.gather(
        *(shop.say(f"{text}-{number}", text, instance=instance) for number in range(count))
    )


def handler_threads() -> int:
    """The threads that functions have."""
    return sum(thread.name.startswith("inturn-handler") for thread in threading.enumerate())


async def answers_at_once(call: HandlerCall) -> Answer:
    """As ``functions.wait`` does."""
    return Answer.reply(await functions.wait(call.json))


@pytest.mark.parametrize("kind", ["http", "async function"])
async def test_windows_that_wait_cost_no_thread_each(
    redis_url: str, prefix: str, kind: str
) -> None:
    """500 wait in as many threads as one does, and another user is answered meanwhile."""
    async with HandlerServer(answers_at_once) as server:
        handler = server.url if kind == "http" else f"{FUNCTION}wait"
        settings = {"handler": handler, "max_messages": 1, "handler_concurrency": WAITING + 1}
        async with deployment(redis_url, prefix, **settings) as shop, shop.worker():
            await shop.say("first", "wait")
            await eventually(lambda: len(functions.calls) == 1, "one that waits")
            with_one = threading.active_count()
            await say_all(shop, WAITING - 1, "wait")
            await eventually(lambda: len(functions.calls) == WAITING, "all that wait", 30.0)
            assert threading.active_count() == with_one
            await shop.say("other", "quick")
            await eventually(lambda: is_answered(shop, "quick"), "an answer meanwhile")
            assert await shop.backlog() == WAITING
            functions.opened.set()
            await shop.finished()
            assert len(functions.calls) == WAITING + 1


async def test_a_function_that_blocks_has_so_many_threads_and_others_go_on(
    redis_url: str, prefix: str
) -> None:
    """
    Of 500 windows of two instances as many are called as there are threads. The rest take no slot
    and lose no time, so that another instance's are answered meanwhile, and each is called once.
    """
    async with HandlerServer([Answer.reply("yes")]) as server:
        settings = {
            "handler": f"{FUNCTION}hang",
            "max_messages": 1,
            "handler_concurrency": THREADS_MAX + 1,
            "instances": {"desk": InstanceSettings(handler=server.url)},
        }
        async with deployment(redis_url, prefix, **settings) as shop, shop.worker() as worker:
            await say_all(shop, WAITING // 2, "north", instance="north")
            await say_all(shop, WAITING // 2, "south", instance="south")
            await eventually(lambda: len(functions.calls) == THREADS_MAX, "threads that wait")
            await shop.say("other", "hello", instance="desk")
            await eventually(lambda: is_answered(shop, "yes"), "an answer meanwhile")
            assert worker.count("windows_running") == len(functions.calls) == THREADS_MAX
            assert handler_threads() == THREADS_MAX
            functions.gate.set()
            await shop.finished()
            assert handler_threads() == THREADS_MAX
    assert len(functions.calls) == WAITING
    assert {attempt for _, attempt, _ in functions.calls} == {1}


async def test_a_user_whose_answers_take_long_holds_one_slot(redis_url: str, prefix: str) -> None:
    """With two slots: the user's next windows take none, and all others pass through the other."""
    async with HandlerServer(answers_at_once) as server:
        settings = {"handler": server.url, "max_messages": 1, "handler_concurrency": 2}
        async with deployment(redis_url, prefix, **settings) as shop, shop.worker():
            await shop.say("slow", "wait", "wait", "wait")
            await eventually(lambda: len(functions.calls) == 1, "one that waits")
            await say_all(shop, 50, "quick")
            await eventually(lambda: len(functions.calls) == 51, "calls of all others")
            await eventually(lambda: is_backlog(shop, 3), "answers to all others")
            assert [text for text, _, _ in functions.calls] == ["wait", *["quick"] * 50]
            functions.opened.set()
            await shop.finished()
            assert [call.json["user"] for call in server.calls].count("slow") == 3


async def is_answered(shop: Deployment, text: str) -> bool:
    """Whether a reply that says so is there."""
    return any(text in reply.texts for reply in await shop.outbox())


async def is_backlog(shop: Deployment, count: int) -> bool:
    """Whether so many messages are unfinished."""
    return await shop.backlog() == count
