"""
A real HTTP endpoint on loopback that plays a handler: it records calls and answers by script.

    async with HandlerServer([Answer(status=500), Answer.reply("hello")]) as server:
        ...  # HANDLER=server.url
        await server.wait_for_calls(2)

``threaded_handler_server`` is the same for tests that run no loop of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

BODY_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerCall:
    """
    One request as it came: its bytes, their JSON (None of a form), headers (case-insensitive),
    monotonic time.
    """

    body: bytes
    json: Any
    headers: Mapping[str, str]
    path: str
    peer_port: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What to answer.

    ``stalls``: head and body go out, but the end of the body only after ``server.release()``.
    ``drops``: the connection is cut after the request was read, without an answer.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stalls: bool = False
    drops: bool = False

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Answer:
        """``value`` as JSON."""
        return cls(status=status, body=orjson.dumps(value), content_type="application/json")

    @classmethod
    def reply(cls, *texts: str) -> Answer:
        """The contract's answer with one or more reply texts."""
        return cls.json({"reply": texts[0]} if len(texts) == 1 else {"replies": texts})


Script = Sequence[Answer] | Callable[[HandlerCall], Answer | Awaitable[Answer]]


def answer_after(event: asyncio.Event, answer: Answer = Answer(status=204)) -> Script:
    """Each call waits for ``event``, and then is answered so."""

    async def script(_call: HandlerCall) -> Answer:
        await event.wait()
        return answer

    return script


def answer_first_after(event: asyncio.Event, answer: Answer) -> Script:
    """The first call waits for ``event``; each is answered so."""
    is_first = iter((True,))

    async def script(_call: HandlerCall) -> Answer:
        if next(is_first, False):
            await event.wait()
        return answer

    return script


class HandlerServer:
    """
    Answers POSTs to any path; ``calls`` grows by one with each, before it is answered.

    A list is answered in turn, its last answer for ever; a function is asked each time and may
    be a coroutine function that waits. The default is a 204 to everything.
    """

    def __init__(self, script: Script = (Answer(status=204),)) -> None:
        self.script = script
        self.calls: list[HandlerCall] = []
        self.url = ""
        self._changed = asyncio.Condition()
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/answer"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
        assert self._runner is not None
        await self._runner.cleanup()

    def release(self) -> None:
        """Let every stalled answer end, now and later."""
        self._released.set()

    def attempts(self) -> list[int]:
        """The attempt number of every call, in order."""
        return [call.json["attempt"] for call in self.calls]

    def texts(self) -> list[str]:
        """Every message's text that came, over all calls."""
        return [message["text"] for call in self.calls for message in call.json["messages"]]

    async def wait_for_calls(self, count: int, deadline_s: float = 10) -> list[HandlerCall]:
        """
        The calls so far, as soon as there are ``count``.

        Raises:
            AssertionError: fewer by the deadline.
        """
        try:
            async with asyncio.timeout(deadline_s), self._changed:
                await self._changed.wait_for(lambda: len(self.calls) >= count)
        except TimeoutError:
            raise AssertionError(f"{len(self.calls)} of {count} calls in {deadline_s} s") from None
        return list(self.calls)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        number = await self._record(request)
        answer = await self._choose(number)
        if answer.drops:
            assert request.transport is not None
            request.transport.abort()
        headers = dict(answer.headers)
        if answer.content_type is not None:
            headers["Content-Type"] = answer.content_type
        if not answer.stalls:
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        await response.write(answer.body)
        await self._released.wait()
        return response

    async def _record(self, request: web.Request) -> int:
        body = await request.read()
        call = HandlerCall(
            body=body,
            json=None if request.content_type.startswith("multipart/") else orjson.loads(body),
            headers=request.headers,
            path=request.path,
            peer_port=request.transport.get_extra_info("peername")[1] if request.transport else 0,
            at_s=time.monotonic(),
        )
        async with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            return len(self.calls)

    async def _choose(self, number: int) -> Answer:
        if not callable(self.script):
            return self.script[min(number, len(self.script)) - 1]
        answer = self.script(self.calls[number - 1])
        return answer if isinstance(answer, Answer) else await answer


@contextlib.contextmanager
def threaded_handler_server(
    script: Script = (Answer(status=204),),
) -> Iterator[HandlerServer]:
    """A server in a thread with a loop of its own; ``calls`` may be read from any thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="handler-server", daemon=True)
    thread.start()
    server = HandlerServer(script)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
