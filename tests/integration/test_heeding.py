"""How an ingest process looks for whom it is to forget, and says what it has heeded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from ingest.forgets import Forgets
from ingest.spool.payload import Named
from shared.connect import Pipe
from shared.errors import BrokerUnavailable
from shared.forget.asked import Asked, ask_to_forget, look_at_heeding
from shared.keys import Keys
from shared.scripts import Script
from tests.support.spooling import INSTANCE
from tests.support.waiting import eventually

ANA = "491700000001"


async def test_who_has_nothing_to_forget_says_little(
    pipe: Pipe, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks with one command, and says what it has heeded at once, else now and then."""
    monkeypatch.setattr("ingest.forgets.SAY_S", 3600.0)
    async with heeding(pipe, keys, tmp_path) as calls:
        await eventually(lambda: calls["XRANGE"] >= 20, "twenty looks")
        assert calls["heed"] == 1
        asked, at = await ask_to_forget(pipe, keys, INSTANCE, ANA)

        async def is_heeded() -> bool:
            return (await look_at_heeding(pipe, keys, asked, at)).heeded == 1

        await eventually(is_heeded, "a word of it")
        looks = calls["XRANGE"]
        await eventually(lambda: calls["XRANGE"] >= looks + 20, "twenty looks more")
        assert calls["heed"] == 3, "at the start, to hear of it, and to say so"
    monkeypatch.setattr("ingest.forgets.SAY_S", 0.0)
    async with heeding(pipe, keys, tmp_path) as calls:
        await eventually(lambda: calls["heed"] >= 5, "words of who is there")


@asynccontextmanager
async def heeding(
    pipe: Pipe, keys: Keys, root: Path, refuses: int = 0
) -> AsyncIterator[Counter[str]]:
    """An ingest process heeds inside; gives how often it has asked for what."""
    counted = CountingPipe(pipe, refuses)
    forgets = Forgets(cast(Pipe, counted), keys, root, "us")
    task = asyncio.create_task(forgets.keep_heeding(interval_s=0.001))
    yield counted.calls
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_heeded_and_could_not_be_said_is_said_at_the_next_look(
    pipe: Pipe, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis went away between the overwriting and the word of it, which a person waits for."""
    monkeypatch.setattr("ingest.forgets.SAY_S", 3600.0)
    async with heeding(pipe, keys, tmp_path, refuses=3) as calls:
        await eventually(lambda: calls["heed"], "a first word")
        asked, at = await ask_to_forget(pipe, keys, INSTANCE, ANA)

        async def is_heeded() -> bool:
            return (await look_at_heeding(pipe, keys, asked, at)).heeded == 1

        await eventually(is_heeded, "a word of it")
        assert calls["heed"] == 4


class CountingPipe:
    """A pipe that counts what it is asked, and gets no answer to one script, the ``refuses``-th."""

    def __init__(self, pipe: Pipe, refuses: int) -> None:
        self.calls: Counter[str] = Counter()
        self._refuses = refuses
        self._pipe = pipe

    async def call(self, *command: Any) -> Any:
        """Counted by the command's name."""
        self.calls[command[0]] += 1
        return await self._pipe.call(*command)

    async def script(self, script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """Counted by the script's name."""
        self.calls[script.name] += 1
        if self.calls[script.name] == self._refuses:
            raise BrokerUnavailable("no answer")
        return await self._pipe.script(script, keys, args)


async def test_what_was_asked_for_long_ago_takes_no_memory(
    pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that runs for years knows those of the last ``KEEP_MS``, as Redis does."""
    known = Asked(pipe, keys, "us")
    for user in ("ann", "ben"):
        await ask_to_forget(pipe, keys, INSTANCE, user)
    await known.hear(0)
    at_ms = -known.ahead_ms
    assert known.covers(INSTANCE, "ann", at_ms)
    monkeypatch.setattr("shared.forget.asked.KEEP_MS", -1)
    await ask_to_forget(pipe, keys, INSTANCE, "cid")
    await known.hear(0)
    assert not any(known.covers(INSTANCE, user, at_ms) for user in ("ann", "ben"))


async def test_what_could_not_be_overwritten_is_not_said_to_be(
    pipe: Pipe, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails once is tried again, and nobody is told meanwhile that it is clean."""
    erase = Mock(side_effect=[OSError("the disk fails"), 0])
    monkeypatch.setattr("ingest.forgets.erase", erase)
    forgets = Forgets(pipe, keys, tmp_path, "us")
    asked, at = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    with pytest.raises(OSError, match="the disk fails"):
        await forgets.heed()
    async with forgets.replaying():
        assert (await look_at_heeding(pipe, keys, asked, at)).heeded == 0
    await forgets.heed()
    assert erase.call_count == 2
    assert (await look_at_heeding(pipe, keys, asked, at)).heeded == 1


async def test_who_is_to_be_forgotten_is_awaited_while_a_batch_is_on_its_way(
    pipe: Pipe, keys: Keys, tmp_path: Path
) -> None:
    """What left the disk before the wish was heard of arrives before that is said."""
    forgets = Forgets(pipe, keys, tmp_path, "us")
    await forgets.heed()
    async with forgets.replaying():
        asked, at = await ask_to_forget(pipe, keys, INSTANCE, ANA)
        heeding = asyncio.create_task(forgets.heed())
        ana = Named(instance=INSTANCE, user=ANA, at=0)
        await eventually(lambda: forgets.is_due(ana), "the wish is heard of")
        for _ in range(50):
            assert (await look_at_heeding(pipe, keys, asked, at)).heeded == 0
    await heeding
    assert (await look_at_heeding(pipe, keys, asked, at)).heeded == 1


async def test_what_a_later_version_asks_ends_no_process(
    pipe: Pipe, keys: Keys, tmp_path: Path
) -> None:
    """What it can read it heeds, before and behind."""
    forgets = Forgets(pipe, keys, tmp_path, "us")
    await ask_to_forget(pipe, keys, INSTANCE, "ann")
    for fields in (("whom", "?"), ("who", "?", "at", "?"), ("who", "?", "at", "1", "how", "?")):
        await pipe.call("XADD", keys.forgets, "*", *fields)
    asked, at = await ask_to_forget(pipe, keys, INSTANCE, "ben")
    await forgets.heed()
    assert all(forgets.is_due(Named(instance=INSTANCE, user=one, at=0)) for one in ("ann", "ben"))
    assert (await look_at_heeding(pipe, keys, asked, at)).heeded == 1


async def test_a_disk_that_fails_ends_no_process(
    pipe: Pipe, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and tried again at the next look."""
    erase = Mock(side_effect=[OSError("the disk fails"), 0])
    monkeypatch.setattr("ingest.forgets.erase", erase)
    asked, at = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    async with heeding(pipe, keys, tmp_path):

        async def is_heeded() -> bool:
            return (await look_at_heeding(pipe, keys, asked, at)).heeded == 1

        await eventually(is_heeded, "a disk that is clean")
