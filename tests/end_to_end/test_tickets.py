"""A user who writes to an instance takes a number, beside those who take one over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
CLINIC = "north-wing"


async def test_a_user_who_writes_number_gets_one(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """With how many are ahead: from a message to the text of its reply."""
    settings = {"redis_url": redis_url, "prefix": prefix, "mode": "pass_through"}
    handler = {"handler": "python:ticket_handler:answer"}
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}"}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        ServiceProcess("consumer", tmp_path, settings | handler, env=env),
        aiohttp.ClientSession(ingest.url) as session,
    ):

        async def post(path: str, **body: str) -> Any:
            async with session.post(path, json=body) as answer:
                assert answer.status in (200, 202), await answer.text()
                return await answer.json()

        for number in range(1, 12):
            body = {"clinic": CLINIC, "user": f"user {number}"}
            assert (await post("/api/v1/queue/enter", **body))["number"] == number
        for _ in range(8):
            await post("/api/v1/queue/done", clinic=CLINIC)
        message = {"instance": CLINIC, "user": "ann", "text": "number"}
        await post("/api/v1/messages", **message, message_id="m1")
        found: list[str] = []

        async def is_answered() -> bool:
            path = f"/api/v1/conversations/{CLINIC}/ann/messages/m1"
            async with session.get(path) as answer:
                found.extend((await answer.json()).get("reply", {}).get("texts", []))
            return bool(found)

        await eventually(is_answered, "a reply")
    assert found == ["you are number 12, 3 ahead"]
