"""``inturn ingest --processes 2``: one port, two processes, each asked on a port of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from shared.keys import Keys
from shared.redis_binary import ServerBinary
from tests.support.ingest_crew import CREW, free_port_pair, ingest_crew
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.spooling import INSTANCE, stored
from tests.support.waiting import eventually

CONNECTIONS = 40
"""So many that neither of two processes is left out but once in 2 ** 39 times."""


async def send(url: str, numbers: Sequence[int], *, is_patient: bool = True) -> list[str]:
    """
    A message each, over a connection of its own; the ids of those that were accepted.

    Who is patient sends again, as providers do.
    """

    async def send_one(number: int) -> str | None:
        message_id = f"M{number}"
        message = {"instance": INSTANCE, "user": f"u{number}", "text": "hello"}
        while True:
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(
                        f"{url}/api/v1/messages", json={**message, "message_id": message_id}
                    ) as answer,
                ):
                    if answer.status == 202:
                        return message_id
            except (aiohttp.ClientError, OSError):
                pass
            if not is_patient:
                return None
            await asyncio.sleep(0.05)

    return [one for one in await asyncio.gather(*map(send_one, numbers)) if one is not None]


async def ids_in(redis_url: str, prefix: str) -> list[str]:
    """Of every entry."""
    return [one.message_id for one in await stored(redis_url, Keys(prefix, 16))]


async def all_there(
    redis_url: str, prefix: str, sent: Sequence[str], limit_s: float = 20.0
) -> None:
    """
    Wait until what was accepted is in Redis, each once: what it took its time for came by the
    spool.
    """

    async def is_so() -> bool:
        return len(await ids_in(redis_url, prefix)) >= len(sent)

    await eventually(is_so, f"{len(sent)} messages", limit_s)
    assert sorted(await ids_in(redis_url, prefix)) == sorted(sent)


async def test_both_serve_and_each_counts_its_own(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Each takes a part of the connections; the sum is what came, and no port tells of anyone."""
    async with ingest_crew(tmp_path, {"redis_url": redis_url, "prefix": prefix}) as crew:
        sent = await send(crew.url, range(CONNECTIONS))

        counts = await crew.totals("messages_accepted_total")
        assert all(counts), counts
        assert sum(counts) == len(sent) == CONNECTIONS
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 404)):
            assert await crew.status(path) == status, path
        lines = [json.loads(line) for line in crew.process.log.read_text().splitlines()]
        told = {line["process"]: line for line in lines if line["event"] == "process.listening"}
        assert [told[number]["metrics_port"] for number in (0, 1)] == [*crew.metrics_ports]
        await all_there(redis_url, prefix, sent)
        assert await crew.process.stop() == 0


async def test_a_killed_one_is_replaced_while_the_other_serves(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Who connects meanwhile is served; the new one tells on the port of the old one."""
    async with ingest_crew(tmp_path, {"redis_url": redis_url, "prefix": prefix}) as crew:
        killed = crew.kill_oldest()

        sent = await send(crew.url, range(100))

        await all_there(redis_url, prefix, sent)
        await crew.all_ready(without=killed)


async def test_what_a_killed_one_had_spooled_is_handed_over(
    redis_binary: ServerBinary, tmp_path: Path
) -> None:
    """Redis is away, both spool, one is killed: whatever was accepted is there, and once."""
    options = {"appendonly": "yes", "appendfsync": "always"}
    with RedisServer(redis_binary, options=options) as redis:
        async with ingest_crew(tmp_path, {"redis_url": redis.url, "prefix": "inturn"}) as crew:
            redis.kill()
            sent = await send(crew.url, range(CONNECTIONS))
            spooled = await crew.totals("spool_messages")
            assert all(spooled), f"void: {spooled}"
            crew.kill_oldest()
            redis.start()

            await all_there(redis.url, "inturn", sent, 45.0)


async def test_an_end_under_load_loses_nothing_accepted(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """SIGTERM to the parent: all leave in order, and what was answered 2xx is in Redis."""
    async with ingest_crew(tmp_path, {"redis_url": redis_url, "prefix": prefix}) as crew:
        sending = asyncio.create_task(send(crew.url, range(500), is_patient=False))

        async def has_begun() -> bool:
            return bool(await ids_in(redis_url, prefix))

        await eventually(has_begun, "a first message")
        assert await crew.process.stop() == 0
        kept = await sending
        assert kept
        assert set(kept) <= set(await ids_in(redis_url, prefix))


@pytest.mark.parametrize("setting", ["PORT", "METRICS_PORT"])
async def test_a_port_in_use_is_named(
    redis_url: str, prefix: str, tmp_path: Path, setting: str
) -> None:
    """Also where it is the second one's own: the start is refused, and nobody stays."""
    first = free_port_pair()
    settings = {"redis_url": redis_url, "prefix": prefix, "metrics_port": first}
    process = ServiceProcess("ingest", tmp_path, settings, command=CREW)
    wanted = process.port if setting == "PORT" else first + 1
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", wanted))
        taken.listen()
        process.spawn()
        try:
            assert await process.ended() == 2
        finally:
            process.kill()
    assert f"INTURN_{setting}: port {wanted} on 127.0.0.1 is in use" in process.log.read_text()
