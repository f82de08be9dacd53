"""A body that has come whole is read like one that still comes, and both are counted."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from ingest.body import BodyReader
from shared.errors import RequestRefused

MAX_BYTES = 100
BOTH_WAYS = pytest.mark.parametrize("at_once", [True, False])


class Upload:
    """A request whose body comes in the pieces that a test feeds."""

    def __init__(self) -> None:
        self.content = StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
        self.request: web.Request = make_mocked_request("POST", "/", payload=self.content)

    async def read(self, reader: BodyReader) -> bytes:
        """What a handler reads."""
        with await reader.read(self.request, MAX_BYTES) as body:
            return body


async def read(reader: BodyReader, *pieces: bytes, at_once: bool) -> bytes:
    """Read a body whose pieces have all come, or come one by one while it is read."""
    upload = Upload()
    reading = None if at_once else asyncio.create_task(upload.read(reader))
    for piece in pieces:
        await asyncio.sleep(0)
        upload.content.feed_data(piece)
    upload.content.feed_eof()
    return await (reading or upload.read(reader))


async def refusal_of(reader: BodyReader, *pieces: bytes, at_once: bool) -> tuple[int, str]:
    """How such a body is refused."""
    with pytest.raises(RequestRefused) as refused:
        await read(reader, *pieces, at_once=at_once)
    return refused.value.status, refused.value.code


@BOTH_WAYS
async def test_a_body_is_whole_however_it_comes(*, at_once: bool) -> None:
    """In no, one or several pieces, up to the limit itself."""
    for pieces in ([], [b"{}"], [b"{", b'"a": 1', b"}"], [b"x" * MAX_BYTES]):
        assert await read(BodyReader(), *pieces, at_once=at_once) == b"".join(pieces)


@BOTH_WAYS
async def test_a_body_over_its_limit_is_refused(*, at_once: bool) -> None:
    """One byte more is 413, in whichever piece it stands."""
    for pieces in ([b"x" * (MAX_BYTES + 1)], [b"x" * MAX_BYTES, b"x"]):
        refused = await refusal_of(BodyReader(), *pieces, at_once=at_once)
        assert refused == (413, "body_too_large")


@BOTH_WAYS
async def test_bodies_count_while_they_are_used(*, at_once: bool) -> None:
    """Beside one of two thirds another one is 429; when the first is answered it is read."""
    reader = BodyReader(bodies_max_bytes=90)
    first = Upload()
    first.content.feed_data(b"x" * 60)
    first.content.feed_eof()
    with await reader.read(first.request, MAX_BYTES):
        assert await refusal_of(reader, b"x" * 60, at_once=at_once) == (429, "busy")
        assert await read(reader, b"x" * 30, at_once=at_once)
    assert await read(reader, b"x" * 90, at_once=at_once)


@BOTH_WAYS
async def test_what_was_refused_counts_no_more(*, at_once: bool) -> None:
    """A body of the whole bound fits after any number of refused ones."""
    reader = BodyReader(bodies_max_bytes=MAX_BYTES)
    for _ in range(3):
        refused = await refusal_of(reader, b"x" * 60, b"x" * 60, at_once=at_once)
        assert refused == (413, "body_too_large")
    assert await read(reader, b"x" * MAX_BYTES, at_once=at_once)


@pytest.mark.parametrize("given_up", ["body_too_slow", "body_incomplete", "cancelled"])
async def test_what_is_given_up_half_way_counts_no_more(given_up: str) -> None:
    """Too slow is 408, cut off is 400, and a handler may be cancelled while it waits."""
    grace_s = 0.01 if given_up == "body_too_slow" else 10.0
    reader = BodyReader(grace_s=grace_s, bodies_max_bytes=MAX_BYTES)
    upload = Upload()
    upload.content.feed_data(b"x" * 60)
    reading = asyncio.create_task(upload.read(reader))
    await asyncio.sleep(0)
    if given_up == "cancelled":
        reading.cancel()
    elif given_up == "body_incomplete":
        upload.content.set_exception(ConnectionError())
    with pytest.raises((RequestRefused, asyncio.CancelledError)) as raised:
        await reading
    assert getattr(raised.value, "code", "cancelled") == given_up
    assert await read(reader, b"x" * MAX_BYTES, at_once=True)


async def test_a_whole_body_whose_connection_failed_is_not_believed() -> None:
    """It is 400 like one that was cut off: what it says may not be all."""
    upload = Upload()
    upload.content.feed_data(b"{}")
    upload.content.feed_eof()
    upload.content.set_exception(web.RequestPayloadError("garbled"))
    with pytest.raises(RequestRefused, match="cut off"):
        await upload.read(BodyReader())
