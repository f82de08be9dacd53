"""What is published on a channel, heard over connections that fail in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis
import structlog

from shared.notices import Notices
from shared.service import in_background
from tests.support.waiting import eventually

CHANNEL = "shop:tickets"


class SilentRedis:
    """
    Takes subscriptions and says nothing more; ``answers_ping``: it is only quiet.

    ``refusal`` is what it says to who subscribes, instead.
    """

    def __init__(self) -> None:
        self.answers_ping = True
        self.refusal: bytes | None = None
        self.asked: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        parser = hiredis.Reader()
        while data := await reader.read(4096):
            parser.feed(data)
            while command := parser.gets():
                self.asked.append(command[0])
                writer.write(self._answer(command[0]))
        writer.close()

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"SUBSCRIBE":
            name = b"$%d\r\n%s\r\n" % (len(CHANNEL), CHANNEL.encode())
            return self.refusal or b"*3\r\n$9\r\nsubscribe\r\n%s:1\r\n" % name
        if verb == b"PING":
            return b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" if self.answers_ping else b""
        return b"+OK\r\n"

    def say(self, text: bytes) -> None:
        """Publish, to whoever came last."""
        name = b"$%d\r\n%s\r\n" % (len(CHANNEL), CHANNEL.encode())
        told = b"$%d\r\n%s\r\n" % (len(text), text)
        self.writers[-1].write(b"*3\r\n$7\r\nmessage\r\n%s%s" % (name, told))


class Heard:
    """What was told."""

    def __init__(self) -> None:
        self.begun = 0
        self.notices: list[bytes] = []

    def begin(self) -> None:
        """It hears now."""
        self.begun += 1


@asynccontextmanager
async def hearing() -> AsyncIterator[tuple[SilentRedis, Heard, asyncio.Event]]:
    """Notices over a server that does as the test says."""
    server, heard, wanted = SilentRedis(), Heard(), asyncio.Event()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    notices = Notices(
        f"redis://127.0.0.1:{port}/0",
        CHANNEL,
        timeout_ms=2000,
        name="test",
        wanted=wanted,
        on_notice=heard.notices.append,
        on_begin=heard.begin,
        silence_s=0.05,
    )
    try:
        async with in_background(notices=notices.run()):
            yield server, heard, wanted
    finally:
        for writer in server.writers:
            writer.close()
        listening.close()


async def test_nothing_is_asked_before_somebody_wants_it() -> None:
    """Most processes serve no queue: they have no connection for it."""
    async with hearing() as (server, heard, wanted):
        await asyncio.sleep(0)
        assert server.writers == []
        wanted.set()
        await eventually(lambda: heard.begun == 1, "a subscription")
        server.say(b"north-wing")
        await eventually(lambda: heard.notices == [b"north-wing"], "the notice")


async def test_a_quiet_channel_is_asked_whether_it_lives() -> None:
    """As long as it answers, it is kept."""
    async with hearing() as (server, heard, wanted):
        wanted.set()
        await eventually(lambda: server.asked.count(b"PING") > 3, "questions")
        assert (heard.begun, len(server.writers)) == (1, 1)


async def test_a_dead_line_is_left() -> None:
    """No answer, and no end of the connection either: another one is made."""
    async with hearing() as (server, heard, wanted):
        server.answers_ping = False
        wanted.set()
        await eventually(lambda: heard.begun >= 2, "a second subscription")


async def test_what_is_not_wanted_any_more_ends() -> None:
    """And begins again when it is."""
    async with hearing() as (server, heard, wanted):
        wanted.set()
        await eventually(lambda: heard.begun == 1, "a subscription")
        wanted.clear()
        await eventually(server.writers[0].is_closing, "its end")
        wanted.set()
        await eventually(lambda: heard.begun == 2, "another one")


async def test_a_refusal_is_told_once_and_tried_again() -> None:
    """A user without the right to the channel: a warning, not one for each try."""
    with structlog.testing.capture_logs() as logs:
        async with hearing() as (server, heard, wanted):
            server.refusal = b"-NOPERM no access to that channel\r\n"
            wanted.set()
            await eventually(lambda: server.asked.count(b"SUBSCRIBE") > 2, "several tries")
            server.refusal = None
            await eventually(lambda: heard.begun == 1, "a subscription")
    (line,) = [line for line in logs if line["event"] == "notices.lost"]
    assert line["log_level"] == "warning"
    assert "NOPERM" in line["error"] or "access" in line["error"]
