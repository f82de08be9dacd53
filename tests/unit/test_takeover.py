"""What becomes of a record that a takeover finds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock, call

import pytest

from consumer.conversation import State
from consumer.takeover import judge
from shared.model import Token, WorkerId
from tests.support.windows import make_window

US, THEM = WorkerId("us"), WorkerId("them")
NOW_MS, NOW_S = 1_000_000, 50.0


def judged(worker: str, *, live: bool = False, in_hand: bool = False, **record: Any) -> Any:
    """What memory is told of a record of ``worker``'s."""
    memory, token = Mock(), Token("t")
    state = SimpleNamespace(
        record=SimpleNamespace(worker=WorkerId(worker), token=token, **record), window=make_window()
    )
    judge(
        memory,
        cast("State", state),
        us=US,
        live={US, THEM} if live else {US},
        in_hand={token} if in_hand else set(),
        now=(NOW_MS, NOW_S),
        runs_alone=lambda _first, _record: True,
    )
    [told] = memory.mock_calls
    return told, state


def test_a_live_workers_window_is_watched() -> None:
    """It drains, or has lost the lease: its handler is at work."""
    told, state = judged(THEM, live=True)
    assert told == call.watch(state)


def test_a_dead_workers_window_runs_again() -> None:
    """With no other beside it that may be to blame."""
    told, state = judged(THEM)
    assert told == call.adopt(state, orphaned=True)


def test_our_own_window_is_waited_for_or_runs_again() -> None:
    """Its handler is here; or its start was never heard of, and nothing has died with it."""
    told, state = judged(US, live=True, in_hand=True)
    assert told == call.keep_running(state)
    told, state = judged(US, live=True)
    assert told == call.adopt(state, orphaned=False)


@pytest.mark.parametrize(
    "retry_at, rest_s", [(NOW_MS + 400, 0.4), (NOW_MS - 1, 0.0), (NOW_MS + 3_600_000, 0.5)]
)
def test_nobodys_window_runs_when_it_is_due(retry_at: int, rest_s: float) -> None:
    """However Redis's clock stepped, it waits for no longer than it was to."""
    told, state = judged("", live=True, retry_at=retry_at, delay_ms=500)
    assert told == call.postponed(state, state.record, NOW_S + rest_s)
