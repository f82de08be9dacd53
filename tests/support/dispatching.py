"""The settings of a dispatcher whose windows are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.attempt import DispatchSettings
from consumer.retry import RetryRules

RULES = RetryRules(max_attempts=3, base_ms=1000, max_ms=2000, unavailable_ms=1000)


def dispatch_settings(**changes: Any) -> DispatchSettings:
    """With one slot; without ``changes`` no handler may be called."""
    own: dict[str, Any] = {
        "slots": 1,
        "retention_ms": 1,
        "retry": RULES,
        "timeout_ms_of": lambda _instance, _connection: 60_000,
        "handler_of": lambda _instance, _connection: pytest.fail("no handler is called here"),
        "say": lambda *_args, **_rest: None,
    }
    return DispatchSettings(**own | changes)
