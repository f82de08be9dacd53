"""
A provider that takes every text: where the worker of a bench sends its replies. At ``/answer`` it
is a handler that answers nothing, at once.

    python -m bench.processes.provider <port>
"""

from __future__ import annotations

import asyncio
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


async def main() -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/answer", stay_silent)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
