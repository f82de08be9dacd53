"""A Python function answers windows: its values, its exceptions, its threads."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Reject, RetryLater, StartRefused
from shared.handlers.factory import handler_for
from shared.handlers.python import PythonHandler
from shared.model import Media, Rejected, Reply, Result, Retry, Silence, Unavailable
from tests.support.waiting import eventually
from tests.support.windows import make_call

Request = dict[str, Any]


@asynccontextmanager
async def handler_of(function: Callable[[Request], Any], threads: int = 2) -> AsyncIterator[Any]:
    """A handler around ``function``, closed at the end."""
    handler = PythonHandler(function, threads=threads)
    try:
        yield handler
    finally:
        await handler.close()


async def answer_of(function: Callable[[Request], Any]) -> Result:
    """What one call of a handler around ``function`` comes to."""
    async with handler_of(function) as handler:
        result: Result = await handler.answer(make_call())
        return result


def call_through(function: Callable[[Request], Any], request: Request) -> Any:
    """What a decorator leaves of a coroutine function: a plain one that returns an awaitable."""
    return function(request)


ANSWERS = [
    (None, Silence(reason="returned None")),
    ("hello", Reply(texts=("hello",))),
    ("", Silence(reason="empty text")),
    (["a", "b"], Reply(texts=("a", "b"))),
    (("a", ""), Reply(texts=("a",))),
    ([], Silence(reason="empty text")),
    ({"reply": "a"}, Reply(texts=("a",))),
    ({"replies": ["a", "b"]}, Reply(texts=("a", "b"))),
    ({"ok": True}, Silence(reason="no reply field; fields: ok", unread=True)),
    (Reply(texts=("a",)), Reply(texts=("a",))),
    (Reply('{"text": "a"}'), Reply(texts=('{"text": "a"}',))),  # type: ignore[arg-type]
    (Silence(reason="asleep"), Silence(reason="asleep")),
    (Retry(error="e", after_ms=5), Retry(error="e", after_ms=5)),
    (Unavailable(error="e"), Unavailable(error="e")),
    (Rejected(error="e"), Rejected(error="e")),
    (7, Retry(error="the function returned int, which is no answer")),
    (b"hello", Retry(error="the function returned bytes, which is no answer")),
    (["a", 7], Retry(error="replies must hold texts only, not int")),
    (Reply(texts=(7,)), Retry(error="replies must hold texts only, not int")),  # type: ignore[arg-type]
]

ERRORS = [
    (RetryLater("busy", after_ms=1500), Retry(error="RetryLater: busy", after_ms=1500)),
    (RetryLater(1.5, "busy"), Retry(error="RetryLater: busy", after_ms=1500)),
    (Reject("spam"), Rejected(error="Reject: spam")),
    (ValueError("no stock"), Retry(error="ValueError: no stock")),
    (SystemExit(3), Retry(error="SystemExit: 3")),
    (asyncio.CancelledError(), Retry(error="CancelledError: ")),
    (KeyError("x" * 900), Retry(error=f"KeyError: '{'x' * 900}"[:500])),
]


@pytest.mark.parametrize("value, expected", ANSWERS)
async def test_each_value_has_a_meaning(value: Any, expected: Result) -> None:
    """A value means the same from an async function, a sync one, and one that wraps another."""

    async def answer_async(_: Request) -> Any:
        return value

    assert await answer_of(answer_async) == expected
    assert await answer_of(lambda _: value) == expected
    assert await answer_of(functools.partial(call_through, answer_async)) == expected


@pytest.mark.parametrize("error, expected", ERRORS)
async def test_each_exception_has_a_meaning(error: BaseException, expected: Result) -> None:
    """An exception is a result with its class and message, and never leaves the handler."""

    async def answer_async(_: Request) -> str:
        raise error

    def answer_sync(_: Request) -> str:
        raise error

    assert await answer_of(answer_async) == expected
    assert await answer_of(answer_sync) == expected


async def test_a_stop_iteration_in_a_thread_ends_the_call() -> None:
    """``next`` on an empty iterator, which asyncio cannot carry, is an error like any other."""
    assert await answer_of(lambda _: next(iter(()))) == Retry(error="StopIteration: ")


async def test_the_function_sees_what_an_http_handler_sees() -> None:
    """The request holds plain values only, with the media as a dict, and is its own copy."""
    seen: list[Request] = []

    def answer(request: Request) -> None:
        seen.append(copy.deepcopy(request))
        request["messages"][0]["raw"]["to"] = "changed"

    raw = {"to": "me"}
    media = Media(id="42", mime="image/png")
    call = make_call(["hi"], attempt=2, media=media, raw=raw, kind="image")
    async with handler_of(answer) as handler:
        await handler.answer(call)
        await handler.answer(call)
    assert raw == {"to": "me"}
    request = seen[1]
    assert (request["window_id"], request["attempt"], request["text"]) == (call.window.id, 2, "hi")
    assert type(request["closed_by"]) is str
    (message,) = request["messages"]
    assert type(message["kind"]) is str
    assert message["media"]["id"] == "42"
    assert message["media"]["omitted"] is False
    assert message["raw"] == {"to": "me"}


async def test_a_blocking_function_does_not_block_the_loop() -> None:
    """Two functions that wait for each other both end, since each has a thread of its own."""
    meeting = threading.Barrier(2, timeout=10)
    async with handler_of(lambda _: str(meeting.wait() >= 0)) as handler:
        results = await asyncio.gather(handler.answer(make_call()), handler.answer(make_call()))
    assert list(results) == [Reply(texts=("True",))] * 2


async def test_threads_are_bounded_and_reused() -> None:
    """A hundred calls never run in more than the given number of threads."""
    names = set()

    def answer(_: Request) -> str:
        names.add(threading.current_thread().name)
        return "done"

    async with handler_of(answer, threads=3) as handler:
        results = await asyncio.gather(*(handler.answer(make_call()) for _ in range(100)))
    assert set(results) == {Reply(texts=("done",))}
    assert 1 <= len(names) <= 3


async def test_context_variables_reach_the_thread() -> None:
    """What the caller bound for its log lines holds in the function's thread, too."""
    window = contextvars.ContextVar("window", default="none")
    window.set("w_1")
    assert await answer_of(lambda _: window.get()) == Reply(texts=("w_1",))


async def test_a_cancelled_call_is_cancelled() -> None:
    """The caller's time limit ends a coroutine; its cancellation is not taken for a failure."""
    cancelled = asyncio.Event()

    async def answer(_: Request) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with handler_of(answer) as handler:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await handler.answer(make_call())
        assert cancelled.is_set()


async def test_calls_that_hang_leave_room_for_others() -> None:
    """However many were abandoned, the next call has a thread; theirs end when they return."""
    leave, entered = threading.Event(), threading.Semaphore(0)

    def answer(request: Request) -> Any:
        if request["text"] == "hang":
            entered.release()
            leave.wait(30)
        return request["text"]

    async with handler_of(answer, threads=1) as handler:
        before = set(threading.enumerate())
        for _ in range(20):
            call = asyncio.create_task(handler.answer(make_call(["hang"])))
            assert await asyncio.to_thread(entered.acquire, timeout=10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await handler.answer(make_call(["quick"])) == Reply(texts=("quick",))
        leave.set()

        def is_one_left() -> bool:
            # asyncio's own threads, which wait for the semaphore here, may be several
            new = set(threading.enumerate()) - before
            return sum(not thread.name.startswith("asyncio") for thread in new) <= 1

        await eventually(is_one_left, "an end of the hung threads")
        assert await handler.answer(make_call(["quick"])) == Reply(texts=("quick",))


async def test_a_thread_cannot_be_cancelled_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where too many hang a call keeps its place; closing waits for nobody."""
    monkeypatch.setattr("shared.handlers.threads.ABANDONED_MAX", 0)
    entered, leave = threading.Event(), threading.Event()

    def answer(_: Request) -> None:
        entered.set()
        leave.wait(30)

    async with handler_of(answer, threads=1) as handler:
        running = asyncio.create_task(handler.answer(make_call()))
        assert await asyncio.to_thread(entered.wait, 10)
        waiting = asyncio.create_task(handler.answer(make_call()))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (thread,) = [item for item in threading.enumerate() if "inturn-handler" in item.name]
        assert thread.daemon
        await asyncio.wait([waiting], timeout=0)
        await handler.close()
        assert await waiting == Retry(error="CancelledError: ")
    leave.set()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


def write_module(folder: Path, name: str, text: str) -> None:
    """A module that no other test has imported."""
    (folder / f"{name}.py").write_text(text)
    sys.modules.pop(name, None)


async def test_the_working_directory_is_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beside the user is found, and a dotted name reaches a method of an object in it."""
    text = "class Bot:\n    def answer(self, request):\n        return 'hi'\nbot = Bot()\n"
    write_module(tmp_path, "my_bot_beside_me", text)
    monkeypatch.setattr(sys, "path", [item for item in sys.path if item])
    monkeypatch.chdir(tmp_path)
    handler = handler_for("python:my_bot_beside_me:bot.answer", secret=None, timeout_ms=1000)
    assert await handler.answer(make_call()) == Reply(texts=("hi",))
    await handler.close()


@pytest.mark.parametrize(
    "text, problem",
    [
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere"),
        ("def answer(:\n", "SyntaxError"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
    ],
)
def test_a_module_that_does_not_import_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    """A broken module is a problem of the setting, told at start and not at the first window."""
    write_module(tmp_path, "my_broken_bot", text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StartRefused) as refused:
        handler_for("python:my_broken_bot:answer", secret=None, timeout_ms=1000)
    (line,) = refused.value.problems
    assert line.startswith("INTURN_HANDLER: cannot import module my_broken_bot: ")
    assert problem in line
    assert "where inturn was started" not in line


@pytest.mark.parametrize("after_ms", ["5000", 0.5, float("nan"), True])
async def test_a_delay_that_is_no_number_of_ms_fails_the_attempt(after_ms: Any) -> None:
    """It must not reach the arithmetic of retries, where it would end the worker."""

    def later(_window: Request) -> Any:
        raise RetryLater("later", after_ms=after_ms)

    for result in (
        await answer_of(later),
        await answer_of(lambda _: Retry(error="x", after_ms=after_ms)),
    ):
        assert isinstance(result, Retry)
        assert result.after_ms is None
        assert "after_ms is" in result.error
    broken: Any = Rejected(error=None)  # type: ignore[arg-type]
    assert isinstance(await answer_of(lambda _: broken), Retry)
