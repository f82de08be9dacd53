"""All that changes something, by ``/openapi.json``, with the cookie of who is logged in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.service_process import ServiceProcess

TOKEN = "a-token-of-the-desk"
READING = {"get", "head"}
FOREIGN: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
)


def writes_in(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Method and path of what needs the token and is no mere look."""
    return [
        (method.upper(), re.sub(r"\{(\w+)\}", lambda named: sample_of(named[1]), path))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method not in READING and operation.get("security")
    ]


def sample_of(name: str) -> str:
    """What may stand there in a path."""
    return "0:1760000000000-0" if name == "id" else "somebody"


@pytest.mark.timeout(120)
async def test_no_page_but_ours_changes_anything(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """With a valid cookie, a page elsewhere gets 401 for each; our own page is let through."""
    settings = {"redis_url": redis_url, "prefix": prefix, "api_token": TOKEN}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        aiohttp.ClientSession(ingest.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        async with browser.post("/session", json={"token": TOKEN}) as answer:
            assert answer.status == 200
        async with browser.get("/openapi.json") as answer:
            document = await answer.json()
        writes = writes_in(document)
        for verb in ("PUT", "DELETE"):
            assert (verb, "/api/v1/instances/somebody/settings") in writes
        assert {"/api/v1/forget", "/api/v1/dead-letters/replay"} <= {path for _, path in writes}
        for method, path in writes:
            for headers in FOREIGN:
                async with browser.request(method, path, headers=headers) as answer:
                    assert answer.status == 401, (method, path, headers)
            async with browser.request(method, path, headers={"Origin": ingest.url}) as answer:
                assert answer.status not in (401, 405), (method, path)
