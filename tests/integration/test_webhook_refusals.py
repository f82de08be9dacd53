"""A webhook that nobody vouches for: its sender learns nothing, and the log says why."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.auth import TOKEN_IS_MISSING, Fault
from shared.settings import Settings
from tests.support.evolution_payloads import text_item, webhook
from tests.support.ingest_server import serving

SETTINGS = Settings(
    instances={
        "desk": {"provider": "evolution", "secret": "planted-secret"},
        "bare": {"provider": "evolution"},
        "tele": {"provider": "telegram", "secret": "planted-secret"},
    }
)
PROXY = {"X-Forwarded-For": "198.51.100.7"}
WRONG = {"apikey": "planted-guess"}


@pytest.mark.parametrize(
    "path, headers, instance, fault",
    [
        ("desk", WRONG, "desk", Fault.UNPROVEN),
        ("desk", {}, "desk", Fault.UNPROVEN),
        ("desk", [("apikey", "planted-secret")] * 2, "desk", Fault.DOUBLED),
        ("bare", PROXY, "bare", Fault.NO_SECRET),
        ("tele", {"apikey": "planted-secret"}, "tele", Fault.ANOTHER_PROVIDER),
        ("planted-name", PROXY, None, Fault.UNKNOWN),
        ("", PROXY, None, Fault.UNKNOWN),
    ],
)
async def test_the_log_says_which_instance_was_refused_and_why(
    path: str, headers: Any, instance: str | None, fault: Fault
) -> None:
    """Provider, instance and reason at info; nothing that came with the request."""
    body = webhook(text_item(), instance="planted-name")
    async with serving(SETTINGS) as server:
        answer = await server.post(f"/webhooks/evolution/{path}", body, headers=headers)
        told = TOKEN_IS_MISSING if headers == PROXY else "unauthorized"
        assert (answer.status, answer.error) == (401, f"unauthorized: {told}")
        (line,) = [line for line in server.logs if line["event"] == "webhook.unauthorized"]
        assert "planted" not in str(server.logs)
    assert line == {
        "event": "webhook.unauthorized",
        "log_level": "info",
        "provider": "evolution",
        "instance": instance,
        "means": fault.value,
    }
