"""Bells of several slots, each with a read of its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from consumer.bells import SlotBells
from shared.connect import Pipe
from tests.support.bells import last_heard


class Slots:
    """A pipe whose keys are each in a slot of their own; ``rings`` are told to who blocks."""

    def __init__(self) -> None:
        self.rings: defaultdict[str, asyncio.Queue[bytes]] = defaultdict(asyncio.Queue)
        self.left: list[str] = []
        self.parted = 0

    def leave(self, key: str) -> None:
        """Its connection ends."""
        self.left.append(key)

    def require_block(self, _block_ms: int) -> None:
        """Any will do."""

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Each by itself."""
        self.parted += 1
        return [[key] for key in keys]

    async def call(self, *command: Any) -> Any:
        """XREVRANGE: it has never rung. XREAD: waits for a ring."""
        if command[0] == "XREVRANGE":
            return []
        bell = command[-2]
        ring = await self.rings[bell].get()
        return [[bell.encode(), [[ring, [b"r", b"1"]]]]]


async def test_a_bell_that_rang_and_is_not_ours_any_more_is_let_go() -> None:
    """Also right after it rang: a partition that is given back just then ends no worker."""
    slots = Slots()
    async with asyncio.TaskGroup() as group:
        bells = SlotBells(cast(Pipe, slots), group)
        told: dict[str, str | None] = {}
        while told.keys() != {"a", "b"}:
            told |= await bells.wait(["a", "b"])
        slots.rings["b"].put_nowait(b"1-0")
        assert (await bells.wait(["a", "b"])).keys() == {"b"}
        slots.rings["a"].put_nowait(b"2-0")
        assert slots.left == []
        assert (await bells.wait(["a"])).keys() == {"a"}
        assert slots.left == ["b"]
        assert (await bells.wait(["b"])).keys() == {"b"}
        assert last_heard(bells, "a") is None


async def test_only_what_has_rung_is_looked_at() -> None:
    """However many bells there are: they are parted by slot once."""
    slots, names = Slots(), [f"bell-{number}" for number in range(50)]
    async with asyncio.TaskGroup() as group:
        bells = SlotBells(cast(Pipe, slots), group)
        told: dict[str, str | None] = {}
        while told.keys() != set(names):
            told |= await bells.wait(list(names))
        for name in ("bell-7", "bell-9", "bell-7"):
            slots.rings[name].put_nowait(b"1-0")
            assert (await bells.wait(list(names))).keys() == {name}
        assert slots.parted == 1
        await bells.wait([])
