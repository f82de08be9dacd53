"""
A proxy on loopback between inturn and a server, which may cut, delay, slice or swallow.

    async with TcpProxy(redis_url) as proxy:
        ...  # a worker at proxy.url
        proxy.hold()

It knows enough of Redis's protocol to swallow exactly one reply after its command has run.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from hiredis import Reader

Matches = Callable[[Sequence[bytes]], bool]
"""Whether a command (its parts) is the one meant."""


class TcpProxy:
    """
    Forwards every connection to ``url``, a ``unix://`` or ``redis://`` one.

    Held up, it takes bytes from both sides and delivers none until ``release``: what was sent
    meanwhile arrives late, as after a network that stood still. ``delay_s`` is added to each
    chunk, each way; ``slice_bytes`` (0: off) is the size of the pieces that go out one by one.
    ``harmed`` counts the connections and chunks that something was done to.
    """

    def __init__(self, url: str) -> None:
        self.url = ""
        self.delay_s = 0.0
        self.slice_bytes = 0
        self.harmed = 0
        self._target = urlsplit(url)
        self._open = asyncio.Event()
        self._open.set()
        self._is_cut = False
        self._swallows = False
        self._matches: Matches | None = None
        self._dropped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        await self._end_connections()

    def hold(self) -> None:
        """Deliver nothing from now on."""
        self._open.clear()

    def release(self) -> None:
        """Deliver what was held up, and everything after it."""
        self._open.set()

    async def cut(self, *, stays: bool = False) -> None:
        """Close every connection; what was held up is lost. ``stays``: and every new one."""
        self._is_cut = stays
        self.harmed += len(self._tasks)
        await self._end_connections()

    def swallow(self) -> None:
        """From now on every byte, either way, is lost, and connections stay as they are."""
        self._swallows = True

    async def heal(self) -> None:
        """Forward as if nothing had been; connections that lost bytes are closed."""
        was_swallowing = self._swallows
        self._is_cut = self._swallows = False
        self.delay_s, self.slice_bytes = 0.0, 0
        self._open.set()
        if was_swallowing:
            await self._end_connections()

    def drop_reply(self, matches: Matches) -> asyncio.Event:
        """
        Swallow the reply to the next command that ``matches``, and close its connection.

        The event is set when that has happened: the command has run, and nobody was told.
        """
        self._matches, self._dropped = matches, asyncio.Event()
        return self._dropped

    async def _end_connections(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._is_cut:
                self.harmed += 1
            else:
                await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self._target
        if target.scheme == "unix":
            far_reader, far_writer = await asyncio.open_unix_connection(target.path)
        else:
            far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        _send_at_once(writer)
        _send_at_once(far_writer)
        talk = _Talk(self)
        try:
            ways = (
                self._pump(reader, far_writer, talk.asked),
                self._pump(far_reader, writer, talk.answered),
            )
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            far_writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        see: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.harmed += bool(not self._open.is_set() or self.delay_s or self._swallows)
                await self._open.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self._swallows:
                    continue
                whole, goes_on = see(data)
                await self._write(writer, whole)
                if not goes_on:
                    return

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.harmed += self.slice_bytes > 0
        step = self.slice_bytes or len(data) or 1
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if self.slice_bytes:
                await asyncio.sleep(0)

    def take_match(self, command: Sequence[bytes]) -> asyncio.Event | None:
        """The event of the reply to this command, if it is the one to be dropped."""
        if self._matches is None or not self._matches(command):
            return None
        self._matches = None
        return self._dropped


class _Talk:
    """Commands and replies of one connection, counted against each other."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self._commands: Any = Reader()
        self._waiting: deque[asyncio.Event | None] = deque()
        self._rest = b""

    def asked(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes on their way to the server: all go on."""
        self._commands.feed(data)
        while (command := self._commands.gets()) is not False:
            self._waiting.append(self._proxy.take_match(command))
        return data, True

    def answered(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes from the server: whole replies go on, up to the one that is dropped."""
        buffer, at = self._rest + data, 0
        while (end := _end_of_reply(buffer, at)) is not None:
            dropped = self._waiting.popleft() if self._waiting else None
            if dropped is not None:
                dropped.set()
                return buffer[:at], False
            at = end
        self._rest = buffer[at:]
        return buffer[:at], True


def _end_of_reply(buffer: bytes, at: int) -> int | None:
    """Where the reply (RESP2) that begins at ``at`` ends; None: it is not whole yet."""
    left = 1
    while left:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        kind, head = buffer[at : at + 1], buffer[at + 1 : line_end]
        at = line_end + 2
        left -= 1
        if kind == b"$" and int(head) >= 0:
            at += int(head) + 2
            if at > len(buffer):
                return None
        elif kind == b"*":
            left += max(int(head), 0)
    return at


def _send_at_once(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
