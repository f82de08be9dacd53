"""Which connections lead to the primary of now, beside Sentinels that say what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hiredis import Reader, pack_command

from shared.connect import open_pipe, route_of
from shared.durability import Durability
from shared.errors import BrokerRefused, NotConnected, NotDurable
from shared.notices import Notices
from shared.route import Route
from shared.service import in_background
from tests.support.waiting import eventually

Answer = Callable[[], bytes]


@asynccontextmanager
async def answering(
    answers: dict[bytes, Answer], gate: asyncio.Event | None = None
) -> AsyncIterator[int]:
    """A server that answers by a command's first word, else ``+OK``, while ``gate`` is open."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        commands = Reader()
        while data := await reader.read(65536):
            commands.feed(data)
            while (command := commands.gets()) is not False:
                if gate is not None:
                    await gate.wait()
                writer.write(answers.get(command[0], lambda: b"+OK\r\n")())
        writer.close()
        writers.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def primary(
    run_id: str, gate: asyncio.Event | None = None, **others: bytes
) -> AsyncIterator[int]:
    """A server that says it is one, under its own name; ``others`` are answers. Its port."""
    told = f"# Server\r\nrun_id:{run_id}\r\n".encode()
    answers: dict[bytes, Answer] = {
        b"ROLE": lambda: b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
        b"INFO": lambda: b"$%d\r\n%s\r\n" % (len(told), told),
        b"SUBSCRIBE": lambda: b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
        b"PING": lambda: b"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    }
    answers |= {name.encode(): lambda answer=answer: answer for name, answer in others.items()}  # type: ignore[misc]
    async with answering(answers, gate) as port:
        yield port


class Sentinel:
    """One Sentinel, and what it says now."""

    def __init__(self) -> None:
        self.place = ("127.0.0.1", 0)
        self.epoch = 1
        self.told = 0
        self.url = ""

    def tell(self) -> bytes:
        """The answer to SENTINEL MASTER."""
        self.told += 1
        host, port = self.place
        fields: tuple[Any, ...] = ("ip", host, "port", port, "flags", "master")
        return bytes(pack_command((*fields, "config-epoch", self.epoch)))


@asynccontextmanager
async def sentinel() -> AsyncIterator[tuple[Sentinel, Callable[[], Route]]]:
    """One of its own, and how to make ways by it: all of the same URL."""
    asked = Sentinel()
    async with answering({b"SENTINEL": asked.tell}) as port:
        asked.url = f"redis+sentinel://127.0.0.1:{port}/mymaster"
        yield asked, lambda: route_of(asked.url, timeout_s=5.0, client_name="test")


async def led(route: Route) -> None:
    """Make a connection; nothing is asked on it."""
    await (await route.connect()).disconnect(nowait=True)


async def test_a_primary_under_two_names_is_one() -> None:
    """Sentinels that call it by its name and by its address drive nobody from one to the other."""
    async with primary("a") as port, sentinel() as (asked, new_route):
        first, second = new_route(), new_route()
        asked.place = ("127.0.0.1", port)
        await led(first)
        asked.place = ("localhost", port)
        await led(second)
        assert first.is_current()
        assert second.is_current()


async def test_a_failover_that_one_connection_met_is_known_to_all() -> None:
    """And who comes back to the new primary is where the others are."""
    async with primary("a") as old, primary("b") as new, sentinel() as (asked, new_route):
        first, second = new_route(), new_route()
        asked.place = ("127.0.0.1", old)
        await led(first)
        asked.place, asked.epoch = ("127.0.0.1", new), 2
        await led(second)
        assert not first.is_current()
        await led(first)
        assert first.is_current()
        assert second.is_current()


async def test_who_asked_before_a_failover_leads_nobody_back() -> None:
    """It was told of the old primary, and reached it after another one had reached the new."""
    gate = asyncio.Event()
    gate.set()
    async with primary("a", gate) as old, primary("b") as new, sentinel() as (asked, new_route):
        first, late = new_route(), new_route()
        asked.place = ("127.0.0.1", old)
        await led(first)
        gate.clear()
        waiting = asyncio.create_task(led(late))
        await eventually(lambda: asked.told == 2, "an answer of the Sentinel")
        asked.place, asked.epoch = ("127.0.0.1", new), 2
        await led(first)
        gate.set()
        with pytest.raises(NotConnected, match="has just changed"):
            await waiting
        assert first.is_current()
        await led(late)
        assert first.is_current()
        assert late.is_current()


async def test_who_only_hears_leaves_a_primary_of_yesterday_too() -> None:
    """It answers, and nobody publishes there any more: the listener goes where the others are."""
    async with primary("a") as old, primary("b") as new, sentinel() as (asked, new_route):
        asked.place = ("127.0.0.1", old)
        begun: list[int] = []
        wanted = asyncio.Event()
        wanted.set()
        notices = Notices(
            asked.url,
            "c",
            timeout_ms=5000,
            name="notices",
            wanted=wanted,
            on_notice=lambda _notice: None,
            on_begin=lambda: begun.append(asked.epoch),
            silence_s=0.02,
        )
        async with in_background(notices=notices.run()):
            await eventually(lambda: begun == [1], "a listener at the old one")
            asked.place, asked.epoch = ("127.0.0.1", new), 2
            await led(new_route())
            await eventually(lambda: begun == [1, 2], "a listener at the new one")


@pytest.mark.parametrize(
    "durability, alone",
    [
        ("memory", {"SET": b"-NOREPLICAS Not enough good replicas to write.\r\n"}),
        ("replicas:1", {"WAIT": b":0\r\n"}),
    ],
)
async def test_a_primary_that_its_replicas_do_not_follow_is_asked_for_anew(
    durability: str, alone: dict[str, bytes]
) -> None:
    """It may have been replaced and not told: then all of this process would stay with it."""
    async with (
        primary("a", None, **alone) as old,
        primary("b", WAIT=b":1\r\n") as new,
        sentinel() as (asked, _),
    ):
        asked.place = ("127.0.0.1", old)
        async with open_pipe(
            asked.url, timeout_ms=5000, name="test", durability=Durability.parse(durability)
        ) as pipe:
            with pytest.raises((BrokerRefused, NotDurable)):
                await pipe.call("SET", "k", 1)
            asked.place, asked.epoch = ("127.0.0.1", new), 2

            async def is_taken() -> bool:
                try:
                    return bool(await pipe.call("SET", "k", 1) == b"OK")
                except (BrokerRefused, NotDurable):
                    return False

            await eventually(is_taken, "the new primary")
