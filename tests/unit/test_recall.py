"""What was said before is read before the call."""

from __future__ import annotations

from typing import Any, cast

import pytest

from consumer.mute import MUTED
from consumer.recall import answer_with_history
from consumer.retry import Attempt, Finish, RetryRules, decide
from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.handlers import Call
from shared.model import Memory, Reply, Result, Silence, Unavailable
from tests.support.windows import make_window

RULES = RetryRules(max_attempts=3, base_ms=1, max_ms=10, unavailable_ms=10)
FIRST = Attempt(number=1, delay_ms=0, unavailable_since_ms=0, now_ms=1)


class Store:
    """Gives one history, or fails."""

    def __init__(self, history: tuple[bytes, ...] | Exception) -> None:
        self._history = history

    async def history(self, conversation: Any) -> tuple[bytes, ...]:
        """Of whomever."""
        if isinstance(self._history, Exception):
            raise self._history
        return self._history


class Recording:
    """A handler that is silent, and knows what it was told."""

    in_process = False
    remembers = True

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> Result:
        """Nothing."""
        self.calls.append(call)
        return Silence()

    async def close(self) -> None:
        """Nothing is held."""


async def test_the_handler_is_told() -> None:
    """The window, the attempt, and what stands in Redis."""
    handler, window = Recording(), make_window()
    store = cast("PartitionStore", Store((b"one", b"two")))
    assert await answer_with_history(handler, store, window, 2) == Silence()
    assert handler.calls == [Call(window=window, attempt=2, history=(b"one", b"two"))]


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), BrokerRefused("LOADING", "wait")])
async def test_a_history_that_cannot_be_read_costs_no_attempt(error: Exception) -> None:
    """The handler is not asked without it, and the window waits."""
    handler = Recording()
    store = cast("PartitionStore", Store(error))
    result = await answer_with_history(handler, store, make_window(), 1)
    assert isinstance(result, Unavailable)
    assert handler.calls == []


def test_what_is_to_be_remembered_goes_with_the_reply() -> None:
    """A reply that a person's message made needless takes its memory along."""
    memory = Memory(item=b"one", keep=10, keep_ms=1000)
    decided = decide(Reply(texts=("hi",), memory=memory), FIRST, RULES, 0.5)
    assert decided == Finish(texts=("hi",), memory=memory)
    assert MUTED.memory is None
    assert decide(Silence(), FIRST, RULES, 0.5) == Finish(texts=())
