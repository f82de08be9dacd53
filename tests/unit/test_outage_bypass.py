"""What the policy ``direct`` handles at once: only what is certainly nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from ingest.accepted import Accepted
from ingest.away import State
from shared.errors import BrokerUnavailable, NotConnected
from shared.model import Message
from tests.support.outages import Policy


@pytest.fixture
def bypass(policy: Policy) -> Mock:
    """What handles messages while Redis is away; it is away, and nothing is sent to it."""
    policy.go_away()
    policy.store.error = NotConnected("away")
    policy.appender._bypass = Mock()
    return policy.appender._bypass


async def test_what_was_not_sent_is_handled_at_once(policy: Policy, bypass: Mock) -> None:
    """It is in the spool, and Redis will be told what became of it."""
    assert await policy.put(1)
    assert (bypass.take.call_count, bypass.defer.call_count) == (1, 0)


async def test_a_later_refusal_says_nothing_of_the_first_try(
    policy: Policy, bypass: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost as a drain ended, and Redis was gone again when it was tried anew."""
    errors = iter((BrokerUnavailable("no answer"), NotConnected("away")))
    states = iter((State.ONLINE, State.CLOSING, State.ONLINE, State.SPOOLING, State.SPOOLING))

    async def fail(_messages: Sequence[Message]) -> list[Accepted]:
        raise next(errors)

    monkeypatch.setattr(policy.store, "append", fail)
    monkeypatch.setattr(policy.appender._away, "state_of", lambda _message: next(states))
    assert await policy.put(1)
    assert (bypass.take.call_count, bypass.defer.call_count) == (0, 1)


async def test_what_comes_while_it_drains_is_replayed(policy: Policy, bypass: Mock) -> None:
    """What it may wait behind is on its way to Redis now: handled here it would overtake that."""
    assert await policy.put(1)
    policy.appender._is_draining = True
    assert await policy.put(2)
    assert (bypass.take.call_count, bypass.defer.call_count) == (1, 1)
