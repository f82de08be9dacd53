"""
A provider that takes every text: where the worker of a bench sends its replies. It
is also a handler that answers nothing: at ``/answer`` at once, at ``/gather/<count>`` when so many
windows wait there.

    python -m bench.processes.provider <port>
"""

from __future__ import annotations

import asyncio
import resource
import sys

import uvloop
from aiohttp import web

HOST = "127.0.0.1"


async def ready(_request: web.Request) -> web.Response:
    """It listens."""
    return web.Response()


async def take(request: web.Request) -> web.Response:
    """Read a text and say that it was taken."""
    await request.read()
    return web.json_response({"key": {"id": "taken"}}, status=201)


async def stay_silent(request: web.Request) -> web.Response:
    """Read a window and answer nothing."""
    await request.read()
    return web.Response(status=204)


class Gathering:
    """Nobody is answered before all are there."""

    def __init__(self) -> None:
        self._count = 0
        self._are_there = asyncio.Event()

    async def join(self, request: web.Request) -> web.Response:
        """Read a window, and wait for the others."""
        answer = await stay_silent(request)
        self._count += 1
        if self._count == int(request.match_info["count"]):
            self._are_there.set()
        await self._are_there.wait()
        return answer


def raise_file_limit() -> None:
    """A connection is a file, and shells give 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main() -> None:
    """Serve until the process is ended."""
    raise_file_limit()
    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/answer", stay_silent)
    app.router.add_post("/gather/{count}", Gathering().join)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, int(sys.argv[1]), backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
