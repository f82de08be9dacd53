"""A provider's API on loopback: it answers as it is told and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: ``path`` as it came over the wire, ``body`` its JSON, or the form's fields."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class FakeApi:
    """``base_url`` is where it listens; ``asked`` what came, in order."""

    respond: Callable[[], web.StreamResponse]
    base_url: str = ""
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Remember the request, then answer."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body: Any = await request.post()
        body = dict(body) if request.content_type in FORMS else await request.json()
        self.asked.append(
            Asked(method=request.method, path=request.raw_path, headers=headers, body=body)
        )
        return self.respond()


@asynccontextmanager
async def fake_api(
    status: int = 200, body: Any = None, headers: dict[str, str] | None = None
) -> AsyncIterator[FakeApi]:
    """An API that always answers ``status`` with ``body`` as JSON."""
    api = FakeApi(lambda: web.json_response(body, status=status, headers=headers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as server:
        api.base_url = str(server.make_url("/")).rstrip("/")
        yield api
