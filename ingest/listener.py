"""One open stream to one client."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from ingest.frames import Frame, order_of

UNSENT_MAX_BYTES = 131_072
"""
What may wait here for a client, beyond what the kernel keeps for it: 400 changes, for old ones are
written to it by aiohttp, which waits only once 64 KiB are in hand, and then by up to 64 KiB more.
"""

KERNEL_BYTES = 65_536
"""What the kernel keeps for it; left alone it takes megabytes for who does not read."""

WRITE_LIMIT_S = 10.0
"""How long who asks for old events may take for each piece of them."""


class Listener:
    """
    Writes to a client, and never waits for it: who does not take what is sent is dropped.

    ``last`` is the event that the client knows the queue at; None: it is not told of changes yet.
    """

    def __init__(
        self, transport: asyncio.Transport, *, chunked: bool, unsent_max: int = UNSENT_MAX_BYTES
    ) -> None:
        self.last: tuple[int, int] | None = None
        self.ended = asyncio.Event()
        self.was_slow = False
        self._transport = transport
        self._chunked = chunked
        self._unsent_max = unsent_max
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def send(self, frame: Frame, event_id: str | None = None) -> None:
        """Send it now, or end; afterwards it knows the queue at ``event_id``."""
        if self.is_gone():
            return
        if self._transport.get_write_buffer_size() > self._unsent_max:
            self.drop()
            return
        self._transport.write(frame.chunked if self._chunked else frame.plain)
        if event_id is not None:
            self.last = order_of(event_id)

    async def end(self) -> None:
        """
        Nothing more will be sent. Who has not even taken what was sent is cut off, or its
        connection would stay until it does.
        """
        self.ended.set()
        await asyncio.sleep(0)  # uvloop writes what was sent last at the end of this turn
        if not self._transport.is_closing() and self._transport.get_write_buffer_size():
            self.drop()

    def drop(self) -> None:
        """It is too slow: cut the connection, whatever is still in it."""
        self.was_slow = True
        self._transport.abort()
        self.ended.set()

    def is_gone(self) -> bool:
        """Whether nothing can be sent any more; then it has ended."""
        if self._transport.is_closing():
            self.ended.set()
        return self.ended.is_set()


async def write_patiently(listener: Listener, answer: web.StreamResponse, piece: bytes) -> None:
    """Write what is too much to be sent at once; a client that does not take it is dropped."""
    try:
        async with asyncio.timeout(WRITE_LIMIT_S):
            await answer.write(piece)
    except TimeoutError:
        listener.drop()
    except ConnectionError:
        listener.ended.set()
