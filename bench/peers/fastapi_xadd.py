"""
FastAPI on uvicorn, with one XADD per request: what many would write first.

    python -m bench.peers.fastapi_xadd <port> <redis url>

uvloop and httptools, as uvicorn's documentation advises, one process, no access log. It verifies,
normalises, dedupes and counts nothing.
"""

from __future__ import annotations

import sys

import redis.asyncio
import uvicorn
from fastapi import FastAPI, Request

HOST = "127.0.0.1"
CONNECTIONS = 64


def make_app(url: str) -> FastAPI:
    """An app that adds each body to a stream."""
    app = FastAPI()
    client = redis.asyncio.Redis.from_url(
        url, max_connections=CONNECTIONS, protocol=2, decode_responses=True
    )

    @app.get("/readyz")
    async def ready() -> str:
        return "ok"

    @app.post("/{path:path}")
    async def xadd(request: Request) -> dict[str, list[str]]:
        await request.json()
        entry_id = await client.xadd("messages", {"m": await request.body()})
        return {"accepted": [str(entry_id)]}

    return app


def main() -> None:
    """Serve until the process is ended."""
    port, url = sys.argv[1:]
    uvicorn.run(
        make_app(url),
        host=HOST,
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
