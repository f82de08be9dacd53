"""A command and a pressed button, from ingest to the handler, by the services as they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from tests.support.handler_server import HandlerServer
from tests.support.service_process import ServiceProcess


async def test_what_asks_for_its_window_is_answered_at_once(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Under settings from the environment; nothing would close by itself within the hour."""
    said: list[dict[str, Any]] = [
        {"text": "hi"},
        {"text": "Talk to a HUMAN"},
        {"text": "what do you have?"},
        {"text": "Rolls", "kind": "button"},
    ]
    async with HandlerServer() as handler:
        settings = {
            "redis_url": redis_url,
            "prefix": prefix,
            "handler": handler.url,
            "max_wait_ms": 3_600_000,
            "bypass": "talk to a human",
            "flush": '["kind:button", "that\'s all"]',
        }
        async with (
            ServiceProcess("ingest", tmp_path, settings) as ingest,
            ServiceProcess("consumer", tmp_path, settings),
            aiohttp.ClientSession() as session,
        ):
            messages = [{"instance": "shop", "user": "alice", **one} for one in said]
            url = f"{ingest.url}/api/v1/messages"
            async with session.post(url, json={"messages": messages}) as answer:
                assert answer.status == 202
            calls = await handler.wait_for_calls(3)
    assert [(call.json["text"], call.json["closed_by"]) for call in calls] == [
        ("hi", "flush"),
        ("Talk to a HUMAN", "bypass"),
        ("what do you have?\nRolls", "flush"),
    ]
