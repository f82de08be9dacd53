"""Pages that are open on a view of the console, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ingest.console.stream import PATH
from tests.support.ingest_server import IngestServer
from tests.support.streams import Stream

TOKEN = {"Authorization": "Bearer s3cret"}


def url_of(server: IngestServer) -> str:
    """Of the stream."""
    return f"http://{server.host}:{server.port}{PATH}"


@asynccontextmanager
async def listening(server: IngestServer, **query: str) -> AsyncIterator[Stream]:
    """A page that is open on a view."""
    async with (
        aiohttp.ClientSession(headers=TOKEN) as session,
        session.get(url_of(server), params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Stream(answer)
