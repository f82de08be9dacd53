"""What a takeover puts into an empty memory."""

from __future__ import annotations

import pytest

from consumer.memory import Memory
from consumer.takeover import rebuild_memory
from shared.metrics import ConsumerMetrics
from shared.window import Rules
from tests.support.partition_scripts import ANN, SHOP, Scripts

RULES = Rules(max_wait_ms=8000, max_messages=5, quiet_ms=0, grace_ms=2000)


async def rebuilt(scripts: Scripts) -> Memory:
    """As its next owner has it."""
    memory = Memory(lambda _instance, _connection: RULES)
    assert (
        await rebuild_memory(scripts.us, await scripts.acquire(), memory, ConsumerMetrics()) == []
    )
    return memory


async def test_every_page_of_what_is_pending_is_there(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much of it there is: nobody reads it again."""
    monkeypatch.setattr("consumer.takeover.CLAIM_COUNT", 2)
    await scripts.closed_window(*"ABCDE")
    assert (await rebuilt(scripts)).stream(SHOP).held == 5


async def test_what_came_behind_a_window_in_hand_is_its_users_next(scripts: Scripts) -> None:
    """The record says what is in the window; the rest waits behind it, and is not lost."""
    epoch, window = await scripts.window_in_hand("A", "B")
    await scripts.append("C")
    await scripts.read_window(epoch)
    memory = await rebuilt(scripts)
    assert memory.stream(SHOP).held == 3
    found = memory.states[SHOP, ANN].window
    assert found is not None
    assert [entry.id for entry in found.entries] == [entry.id for entry in window.entries]
