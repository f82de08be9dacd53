"""The policy ``spool`` where processes have ended and left messages behind."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest.mock import Mock

import pytest
import structlog

from ingest.away import State
from ingest.spool.files import Sealed
from ingest.spool.folder import HeldFolder
from ingest.spool.record import Scan
from tests.support.outages import Policy, files
from tests.support.waiting import eventually


async def test_what_was_left_behind_goes_first(policy: Policy, tmp_path: Path) -> None:
    """A process that starts over another's messages queues its own behind them."""
    policy.go_away()
    await policy.put(1)
    await policy.end()
    heir = Policy(tmp_path)
    try:
        await heir.appender.start()
        assert await heir.put(2)
        heir.drain()
        await heir.is_in(State.ONLINE)
        assert heir.store.order == ["ann-1", "ann-2"]
        assert not files(tmp_path, "*/*.spool")
    finally:
        await heir.end()


async def test_what_another_has_inherited_goes_first(policy: Policy, tmp_path: Path) -> None:
    """A process that starts after its predecessor's messages were adopted waits for them."""
    policy.go_away()
    await policy.put(1)
    await policy.end()
    heir, successor = Policy(tmp_path), Policy(tmp_path)
    successor.store.order = successor.patient.order = heir.store.order
    try:
        await heir.appender.start()
        heir.go_away()
        heir.drain()
        await successor.appender.start()
        successor.drain()
        assert await successor.put(2)
        await eventually(successor.draining_waits, "a replay that waits")
        assert heir.store.order == []
        heir.come_back()
        await successor.is_in(State.ONLINE)
        assert heir.store.order == ["ann-1", "ann-2"]
    finally:
        await heir.end()
        await successor.end()


async def test_nobody_waits_for_ever_for_what_another_has_inherited(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang: after its time who waits goes on, and says so once."""
    monkeypatch.setattr("ingest.outage.AHEAD_S", 0.01)
    policy.go_away()
    await policy.put(1)
    await policy.end()
    heir, successor = Policy(tmp_path), Policy(tmp_path)
    try:
        await heir.appender.start()
        await successor.appender.start()
        with structlog.testing.capture_logs() as logs:
            successor.drain()
            assert await successor.put(2)
            await successor.is_in(State.ONLINE)
        assert successor.store.order == ["ann-2"]
        assert [line["event"] for line in logs].count("spool.not_waited") == 1
    finally:
        await heir.end()
        await successor.end()


async def test_two_heirs_do_not_wait_for_each_other(policy: Policy, tmp_path: Path) -> None:
    """Each replays what it has adopted before it waits for what the other has."""
    other = Policy(tmp_path)
    for number, dead in enumerate((policy, other)):
        dead.go_away()
        await dead.put(number)
    heirs = [Policy(tmp_path), Policy(tmp_path)]
    try:
        for dead, heir in zip((policy, other), heirs, strict=True):
            await dead.end()
            assert await heir.spool.adopt() == 1
        for heir in heirs:
            await heir.appender.start()
            assert heir.appender.state is State.SPOOLING
        for heir in heirs:
            heir.drain()
        for heir in heirs:
            await heir.is_in(State.ONLINE)
        assert [heir.store.order for heir in heirs] == [["ann-0"], ["ann-1"]]
    finally:
        for heir in heirs:
            await heir.end()


async def test_what_dies_beside_a_healthy_process_is_replayed_by_it(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No restart is needed: whoever lives looks for what others have left."""
    monkeypatch.setattr("ingest.outage.ADOPT_S", 0.02)
    other = Policy(tmp_path)
    other.go_away()
    await other.put(1)
    policy.drain()
    await other.end()
    await eventually(lambda: policy.store.order == ["ann-1"], "its message")
    await policy.is_in(State.ONLINE)


async def test_what_is_adopted_in_an_outage_does_not_begin_it_anew(
    policy: Policy, tmp_path: Path
) -> None:
    """An operator goes on to read why Redis takes nothing, and is told once that it began."""
    other = Policy(tmp_path)
    other.go_away()
    await other.put(1)
    with structlog.testing.capture_logs() as logs:
        policy.go_away()
        await policy.put(2)
        await other.end()
        policy.drain()
        await eventually(policy.spool.adopted_backlog, "what the other one left")
        assert policy.appender.reason == "away"
        policy.come_back()
        await policy.is_in(State.ONLINE)
    assert [line["event"] for line in logs].count("spool.began") == 1
    assert policy.store.order == ["ann-1", "ann-2"]


async def test_what_was_adopted_is_replayed_though_it_could_not_be_read_at_once(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever handles messages meanwhile looks into it first, and may find no descriptor free."""
    monkeypatch.setattr("ingest.outage.ADOPT_S", 0.02)
    monkeypatch.setattr("ingest.outage.PROBE_S", 0.02)
    other = Policy(tmp_path)
    other.go_away()
    await other.put(1)
    await other.end()
    policy.appender._bypass = Mock()
    reads = iter([OSError(errno.EMFILE, "too many open files")])
    read = HeldFolder.read

    def fail_once(folder: HeldFolder, sealed: Sealed) -> Scan:
        for error in reads:
            raise error
        return read(folder, sealed)

    monkeypatch.setattr(HeldFolder, "read", fail_once)
    policy.drain()
    await eventually(lambda: policy.store.order == ["ann-1"], "its message")
    await policy.is_in(State.ONLINE)
