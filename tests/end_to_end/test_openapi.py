"""``/openapi.json`` against the running service: schemathesis makes up requests by the document."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from ingest.console.views import LIVE
from tests.support.service_process import ServiceProcess

TOKEN = "a-token-of-the-api"
ONLY_THE_API = ("--include-path-regex", "^/api/", "--phases", "coverage")
SLOW = ("/api/v1/events/stream", "/api/v1/console/stream", "/api/v1/forget")
"""Streams stay open for five minutes; who forgets waits for a worker, and none runs here."""

SEED = os.environ.get("TEST_SEED", "1")


@pytest.mark.timeout(170)
@pytest.mark.parametrize(
    "token, options",
    [
        ("", ()),
        (TOKEN, ONLY_THE_API),
        (TOKEN, (*ONLY_THE_API, "-H", f"Authorization: Bearer {TOKEN}")),
    ],
    ids=["no token", "a token, unknown", "a token, known"],
)
async def test_nothing_contradicts_the_document(
    redis_url: str, prefix: str, tmp_path: Path, token: str, options: tuple[str, ...]
) -> None:
    """
    What is valid by the document is taken, what is not is refused, every answer is as it says.

    Above all there is no 5xx, and nothing is logged as an error.
    """
    settings = {"redis_url": redis_url, "prefix": prefix, "api_token": token}
    async with ServiceProcess("ingest", tmp_path, settings) as ingest:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{ingest.url}/openapi.json"),
            *("--max-examples", "6", "--seed", SEED),
            *(part for path in SLOW for part in ("--exclude-path", path)),
            *("--suppress-health-check", "all", "--no-color", "--continue-on-failure"),
            *options,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        log = ingest.log.read_text()
    told = output.decode(errors="replace")
    assert process.returncode == 0, told[-6000:]
    assert "Test cases:" in told, f"void: {told}"
    assert '"level":"error"' not in log, log[-3000:]


async def test_the_document_names_all_views(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """What a stream of the console may be asked for stands in ``/openapi.json``."""
    path = "/api/v1/console/stream"
    settings = {"redis_url": redis_url, "prefix": prefix}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        aiohttp.ClientSession(ingest.url) as browser,
    ):
        async with browser.get("/openapi.json") as answer:
            view, *_ = (await answer.json())["paths"][path]["get"]["parameters"]
        async with browser.get(path) as answer:
            said = (await answer.json())["error"]["message"]
    assert view["schema"]["enum"] == list(LIVE)
    assert said == f"view must be one of: {', '.join(LIVE)}"
