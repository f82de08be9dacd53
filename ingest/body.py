"""
Reading a request's body: how large, how slow, how deep it may be.

Who sends has proven nothing yet when a body is read, so everything is bounded: the size per
route, the time by a rate that every working network reaches, and the memory of all bodies
together.
"""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, hdrs, web

from shared.errors import RequestRefused
from shared.settings import MiB, Settings

DEFAULT_MAX_BYTES = 3 * MiB
INLINE_MEDIA_MAX_BYTES = 64 * MiB

BODIES_MAX_BYTES = 256 * MiB
"""All bodies in memory together: four of the largest kind, beyond that 429 and a later retry."""

GRACE_S = 10.0
"""Time for the first bytes. Evolution gives up on a webhook after 30 s, Meta after 20 s or less."""

SLOWEST_BYTES_PER_S = MiB / 10
"""After the grace a body must come at 10 s per MiB: a tenth of a slow uplink's rate."""

LONGEST_S = 60.0
"""No provider waits longer for its answer, so nobody reads the rest of a slower body."""


def body_limit(settings: Settings, *, inline_media: bool) -> int:
    """The largest body in bytes that a route takes, by whether media come inside it."""
    if settings.body_max_bytes is not None:
        return settings.body_max_bytes
    return INLINE_MEDIA_MAX_BYTES if inline_media else DEFAULT_MAX_BYTES


class BodyReader:
    """Reads bodies within a common bound of memory. One per service."""

    def __init__(
        self,
        *,
        grace_s: float = GRACE_S,
        longest_s: float = LONGEST_S,
        bodies_max_bytes: int = BODIES_MAX_BYTES,
    ) -> None:
        self._grace_s = grace_s
        self._longest_s = longest_s
        self._bodies_max_bytes = bodies_max_bytes
        self._held_bytes = 0

    async def read(self, request: web.Request, max_bytes: int) -> Body:
        """
        The whole body; its memory counts until the block that it is used in (``with``) is left.

        Raises:
            RequestRefused: 415 it is compressed, 413 too large, 408 too slow, 429 too many bodies
                at once, 400 cut off or garbled on its way.
        """
        refuse_encodings(request)
        content = request.content
        try:
            if content.is_eof():
                # Nearly every one comes with its head: nothing to wait for, so no timer.
                whole = content.read_nowait()
                self._hold(len(whole), len(whole), max_bytes)
                return Body(self, whole)
            if (request.content_length or 0) > max_bytes:
                raise _too_large(max_bytes)
            return Body(self, await self._read_while_it_comes(content, max_bytes))
        except TimeoutError as error:
            raise RequestRefused(408, "body_too_slow", "the body came too slowly") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise RequestRefused(400, "body_incomplete", "the body was cut off") from error

    async def _read_while_it_comes(self, content: StreamReader, max_bytes: int) -> bytes:
        begun = asyncio.get_running_loop().time()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout_at(begun + self._grace_s) as deadline:
                while chunk := await content.readany():
                    self._hold(len(chunk), size + len(chunk), max_bytes)
                    chunks.append(chunk)
                    size += len(chunk)
                    allowed_s = self._grace_s + size / SLOWEST_BYTES_PER_S
                    deadline.reschedule(begun + min(allowed_s, self._longest_s))
            return b"".join(chunks)
        except BaseException:
            self.release(size)
            raise

    def _hold(self, more_bytes: int, size: int, max_bytes: int) -> None:
        """Count ``more_bytes`` of a body that is ``size`` long with them, if they may be kept."""
        if size > max_bytes:
            raise _too_large(max_bytes)
        if self._held_bytes + more_bytes > self._bodies_max_bytes:
            raise RequestRefused(429, "busy", "too many large bodies at once, send it again")
        self._held_bytes += more_bytes

    def release(self, size_bytes: int) -> None:
        """So much is not in memory any more."""
        self._held_bytes -= size_bytes


class Body:
    """A body in memory, given back to its reader's count at the end of the ``with`` block."""

    __slots__ = ("_reader", "_whole")

    def __init__(self, reader: BodyReader, whole: bytes) -> None:
        self._reader = reader
        self._whole = whole

    def __enter__(self) -> bytes:
        return self._whole

    def __exit__(self, *_error: object) -> None:
        self._reader.release(len(self._whole))


def refuse_encodings(request: web.Request) -> None:
    """
    A compressed body is refused: a few bytes could inflate to gigabytes.

    Raises:
        RequestRefused: 415.
    """
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    if encodings and any(each.strip().lower() not in ("", "identity") for each in encodings):
        raise RequestRefused(
            415, "unsupported_encoding", "Content-Encoding is not supported, send plain JSON"
        )


def _too_large(max_bytes: int) -> RequestRefused:
    return RequestRefused(413, "body_too_large", f"the body exceeds {max_bytes} bytes")
