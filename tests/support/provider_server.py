"""A provider's API on loopback: it writes down every call, and answers what it is told to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from tests.support.doors import ApiCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One call as it came: ``path`` with its query; ``body`` is its JSON, or the form's fields."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes

    def matches(self, call: ApiCall) -> bool:
        """Whether it is ``call``, whatever other headers it has."""
        return (
            (self.method, unquote(self.path)) == (call.method, unquote(call.path))
            and self.body == call.body
            and all(self.headers.get(name) == value for name, value in call.headers.items())
        )


class ProviderServer:
    """Answers ``status`` with ``answer`` as JSON to everything."""

    def __init__(self, status: int, answer: Any) -> None:
        self.calls: list[Received] = []
        self.url = ""
        self._status = status
        self._answer = answer

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def that_say(self, text: str) -> list[Received]:
        """The calls that carry ``text``, in whatever spelling."""
        return [call for call in self.calls if text in json.dumps(call.body, ensure_ascii=False)]

    async def _serve(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.calls.append(
            Received(
                method=request.method,
                path=request.raw_path,
                headers=request.headers.copy(),
                body=_body_of(request, raw),
                raw=raw,
            )
        )
        return web.json_response(self._answer, status=self._status)


def _body_of(request: web.Request, raw: bytes) -> Any:
    if request.content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(raw.decode(), keep_blank_values=True))
    return json.loads(raw) if raw else None
