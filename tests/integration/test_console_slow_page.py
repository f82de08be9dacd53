"""A page of the console that does not read what it is told."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import Any

import pytest

from ingest.console.collector import Asked, Collector, Look
from ingest.console.stream import PATH, ConsoleStream
from shared.settings import Settings
from tests.support.ingest_server import serving
from tests.support.waiting import eventually

REQUEST = f"GET {PATH}?view=now HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
TEXT = "x" * 20_000
LOOKS_MAX = 500
"""Ten megabytes: far more than the kernel and the process may keep for one page."""


@pytest.mark.timeout(120)
async def test_it_is_cut_off_and_nobody_waits_for_it() -> None:
    """The other page hears of every look, and nothing stays of the slow one."""
    made = 0

    async def look(_asked: Asked) -> dict[str, Any]:
        nonlocal made
        made += 1
        return {"text": TEXT}

    async with asyncio.TaskGroup() as group:
        collector = Collector({"now": Look(look=look, interval_s=0.001)}, group)
        async with serving(Settings(), routes=ConsoleStream(collector).routes()) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port, limit=2**20)
            writer.write(REQUEST)
            with closing(socket.socket()) as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                slow.connect((server.host, server.port))
                slow.sendall(REQUEST)
                await eventually(lambda: len(collector) == 2, "the slow page")
                began = made
                while len(collector) == 2:
                    assert made - began < LOOKS_MAX, "it was let have more than its share"
                    await reader.readuntil(b'"}\n\n')
            told = made
            while made < told + 3:
                await reader.readuntil(b'"}\n\n')
            assert len(collector) == 1
            writer.close()
            await eventually(lambda: len(collector) == 0, "the other page to be gone")
            collector.close()
        assert not server.worst_logged()
