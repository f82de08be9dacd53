"""
The web servers that ingest is measured against: aiohttp on uvloop, as somebody would write them.

    python -m bench.processes.http_peer <port> parse
    python -m bench.processes.http_peer <port> xadd <redis url>

``parse`` reads the JSON and answers: what no aiohttp service can be faster than. ``xadd`` also adds
the body to a stream, with one XADD per request over redis-py's pool: what a service without
batches does. Neither verifies, normalises, dedupes, counts or logs.
"""

from __future__ import annotations

import asyncio
import sys

import orjson
import redis.asyncio
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

HOST = "127.0.0.1"
CONNECTIONS = 64


async def ready(_request: web.Request) -> web.Response:
    """It listens."""
    return web.Response(text="ok")


async def parse(request: web.Request) -> web.Response:
    """Parse the body and answer."""
    payload = orjson.loads(await request.read())
    return answer(payload["data"]["key"]["id"])


def xadd_with(url: str) -> Handler:
    """A handler that adds each body to a stream."""
    client = redis.asyncio.Redis.from_url(url, max_connections=CONNECTIONS, protocol=2)

    async def xadd(request: web.Request) -> web.Response:
        body = await request.read()
        orjson.loads(body)
        entry_id = await client.xadd("messages", {"m": body})
        return answer(str(entry_id))

    return xadd


def answer(text: str) -> web.Response:
    """The JSON that both give."""
    body = orjson.dumps({"accepted": [text]})
    return web.Response(body=body, content_type="application/json")


async def main() -> None:
    """Serve until the process is ended."""
    port, kind, *rest = sys.argv[1:]
    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/{path:.*}", parse if kind == "parse" else xadd_with(*rest))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, int(port), backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
