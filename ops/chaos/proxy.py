"""
A proxy on loopback between inturn and a server, which a test may cut or hold up.

    async with TcpProxy(redis_url) as proxy:
        ...  # a worker at proxy.url
        proxy.hold()
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class TcpProxy:
    """
    Forwards every connection to ``url``, a ``unix://`` or ``redis://`` one.

    Held up, it takes bytes from both sides and delivers none until ``release``: what was sent
    meanwhile arrives late, as after a network that stood still.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

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

    async def cut(self) -> None:
        """Close every connection; what was held up is lost."""
        await self._end_connections()

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
        try:
            ways = (self._pump(reader, far_writer), self._pump(far_reader, writer))
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
