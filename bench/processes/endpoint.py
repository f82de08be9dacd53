"""
An endpoint that answers windows, and the provider that gets its answers: both ends of a reply.

    python -m bench.processes.endpoint <port> <slow user> <file>

Each answer is the time at which its window was due; when the text arrives at the provider, how
long that is ago goes to the file at the end, one ``<user> <ms>`` per line. Both are times of one
machine.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

HOST = "127.0.0.1"
QUICK_S = 0.01
SLOW_S = 30.0


async def ready(_request: web.Request) -> web.Response:
    """It listens."""
    return web.Response()


class Endpoint:
    """Answers one user after half a minute, all others at once."""

    def __init__(self, slow_user: str) -> None:
        self.arrived: list[tuple[str, float]] = []
        self._slow_user = slow_user

    async def answer(self, request: web.Request) -> web.Response:
        """When the window was due, after a while."""
        window = orjson.loads(await request.read())
        await asyncio.sleep(SLOW_S if window["user"] == self._slow_user else QUICK_S)
        return _json({"reply": str(window["closed_at"])})

    async def take(self, request: web.Request) -> web.Response:
        """A text for a user, whose name may have a domain; or that we "type"."""
        said = orjson.loads(await request.read())
        if "text" in said:
            user = said["number"].partition("@")[0]
            self.arrived.append((user, time.time() * 1000 - int(said["text"])))
        return _json({"key": {"id": "taken"}}, status=201)


def _json(value: object, status: int = 200) -> web.Response:
    body = orjson.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json")


async def main() -> None:
    """Serve until SIGTERM, then write."""
    port, slow_user, file = sys.argv[1:]
    endpoint = Endpoint(slow_user)
    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/answer", endpoint.answer)
    app.router.add_post("/{path:.*}", endpoint.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, int(port), backlog=1024).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    lines = (f"{user} {ms:.1f}\n" for user, ms in endpoint.arrived)
    await asyncio.to_thread(Path(file).write_text, "".join(lines), encoding="ascii")


if __name__ == "__main__":
    uvloop.run(main())
