"""Where a message goes in each state of the policy ``spool``, told by a Redis under control."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from ingest.away import State
from ingest.outage import _is_certainly_not_written
from shared.errors import (
    BrokerRefused,
    BrokerUnavailable,
    InturnError,
    NotConnected,
    SpoolUnavailable,
    StartRefused,
)
from tests.support.outages import Policy, files
from tests.support.spooling import message
from tests.support.waiting import eventually


async def test_the_first_failure_spools_all_that_is_on_its_way(policy: Policy) -> None:
    """A request that waits behind the one that failed is not left to its own timeout."""
    policy.store.hold.clear()
    waiting = [asyncio.create_task(policy.put(number)) for number in range(3)]
    await eventually(lambda: policy.store.calls == 3, "three appends on their way")
    policy.appender.begin("another one failed")
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert policy.spool.messages == 3


@pytest.mark.parametrize("first", ["outage", "cancellation"])
async def test_whoever_is_cancelled_when_it_begins_stays_cancelled(
    policy: Policy, first: str
) -> None:
    """An outage is no reason to go on for a process that ends; those beside it are spooled."""
    policy.store.hold.clear()
    ended, waits = (asyncio.create_task(policy.put(number)) for number in range(2))
    await eventually(lambda: policy.store.calls == 2, "two appends on their way")
    if first == "cancellation":
        ended.cancel()
    policy.appender.begin("another one failed")
    if first == "outage":
        ended.cancel()
    answers = await asyncio.gather(ended, waits, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1] is True
    assert policy.spool.messages == 1


async def test_an_append_that_would_go_on_as_it_begins_is_spooled(policy: Policy) -> None:
    """What it waits for is there, and it was not told yet: it is kept all the same, once."""
    policy.store.hold.clear()
    waiting = asyncio.create_task(policy.put(1))
    await eventually(lambda: policy.store.calls == 1, "an append on its way")
    policy.store.hold.set()
    policy.appender.begin("another one failed")
    assert await waiting is True
    assert policy.spool.messages == 1


async def test_redis_is_not_asked_while_spooling(policy: Policy) -> None:
    """After the first failure nobody waits for a Redis that is away."""
    policy.go_away()
    assert await policy.put(1)
    calls = policy.store.calls
    assert await policy.put(2)
    assert policy.store.calls == calls


async def test_a_refusal_of_one_message_is_no_outage(policy: Policy) -> None:
    """It fails alone, is not spooled, and the others go on."""
    policy.store.refuses = {"ann-1"}
    with pytest.raises(BrokerRefused):
        await policy.put(1)
    assert policy.appender.state is State.ONLINE
    assert policy.spool.messages == 0
    assert not await policy.put(2)


async def test_new_messages_wait_for_the_last_of_the_backlog(policy: Policy) -> None:
    """What is spooled goes first: a message that comes while it closes is behind it in Redis."""
    policy.go_away()
    await policy.put(1)
    policy.come_back()
    policy.patient.hold.clear()
    policy.drain()
    await eventually(lambda: policy.patient.calls == 1, "the replay")
    assert await policy.put(2), "not closing yet: it queues in the spool"
    policy.patient.hold.set()
    await policy.is_in(State.ONLINE)
    assert not await policy.put(3)
    assert policy.store.order == ["ann-1", "ann-2", "ann-3"]


async def test_a_message_that_comes_while_closing_is_not_spooled_behind_the_end(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It waits until the spool is empty and goes to Redis: no message is left in a closed spool.

    So it is at the end of the next outage, too.
    """
    late: list[asyncio.Task[bool]] = []
    seal = policy.spool.seal

    async def send_meanwhile() -> None:
        if policy.appender.state is State.CLOSING:
            late.append(asyncio.create_task(policy.put(2 * len(late) + 2)))
            await asyncio.sleep(0)
            assert not late[-1].done()
        await seal()

    monkeypatch.setattr(policy.spool, "seal", send_meanwhile)
    policy.drain()
    for outage in range(2):
        policy.go_away()
        await policy.put(2 * outage + 1)
        policy.come_back()
        await policy.is_in(State.ONLINE)
        assert await late[outage] is False
        assert policy.spool.messages == 0
    assert policy.store.order == ["ann-1", "ann-2", "ann-3", "ann-4"]


async def test_a_close_that_fails_spools_those_who_waited(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is gone again while it closes: who waited is kept, behind what came first."""
    policy.go_away()
    await policy.put(1)
    policy.come_back()
    late: list[asyncio.Task[bool]] = []
    seal = policy.spool.seal

    async def fail_meanwhile() -> None:
        if policy.appender.state is State.CLOSING and not late:
            late.append(asyncio.create_task(policy.put(2)))
            await asyncio.sleep(0)
            raise BrokerUnavailable("gone again")
        await seal()

    monkeypatch.setattr(policy.spool, "seal", fail_meanwhile)
    policy.drain()
    await eventually(lambda: late, "a message that waits")
    assert await late[0] is True
    await policy.is_in(State.ONLINE)
    assert policy.store.order == ["ann-1", "ann-2"]


async def test_a_close_that_takes_too_long_keeps_nobody_waiting(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is answered within its two seconds though the last replay hangs."""
    monkeypatch.setattr("ingest.outage.CLOSING_S", 0.05)
    policy.go_away()
    await policy.put(1)
    policy.come_back()
    late: list[asyncio.Task[bool]] = []
    seal = policy.spool.seal

    async def hang() -> None:
        if policy.appender.state is State.CLOSING and not late:
            late.append(asyncio.create_task(policy.put(2)))
            await asyncio.Event().wait()
        await seal()

    monkeypatch.setattr(policy.spool, "seal", hang)
    policy.drain()
    await eventually(lambda: late, "a message that waits")
    assert await late[0] is True
    await policy.is_in(State.ONLINE)
    assert policy.store.order == ["ann-1", "ann-2"]


async def test_a_record_that_redis_refuses_is_set_aside(policy: Policy, tmp_path: Path) -> None:
    """It is kept for a person, counted, and blocks neither its batch nor what comes after."""
    policy.go_away()
    for number in range(4):
        await policy.put(number)
    policy.patient.refuses = {"ann-1"}
    policy.come_back()
    with structlog.testing.capture_logs() as logs:
        policy.drain()
        await policy.is_in(State.ONLINE)

    assert policy.store.order == ["ann-0", "ann-2", "ann-3"]
    assert policy.metrics.registry.get_sample_value("inturn_spool_refused_total") == 1
    [refused] = files(tmp_path, "*/refused")
    assert b"ann-1" in refused.read_bytes()
    assert [line["code"] for line in logs if line["event"] == "spool.refused"] == ["WRONGTYPE"]
    await policy.end()
    assert refused.exists(), "its folder stays for as long as it holds something"


async def test_a_file_that_somebody_removes_is_counted_and_told(
    policy: Policy, tmp_path: Path
) -> None:
    """What was accepted and is gone from the disk is lost, and not passed over in silence."""
    policy.go_away()
    for number in range(3):
        await policy.put(number)
    [file] = files(tmp_path, "*/*.spool")
    file.unlink()
    policy.come_back()
    with structlog.testing.capture_logs() as logs:
        policy.drain()
        await policy.is_in(State.ONLINE)

    assert policy.metrics.registry.get_sample_value("inturn_spool_damaged_total") == 1
    assert [line["messages"] for line in logs if line["event"] == "spool.lost"] == [3]


async def test_a_full_spool_is_said_and_ends_with_the_outage(tmp_path: Path) -> None:
    """Nothing is answered 2xx that is kept nowhere; when Redis is back it is taken again."""
    policy = Policy(tmp_path, max_bytes=10)
    try:
        await policy.appender.start()
        policy.drain()
        policy.go_away()
        with pytest.raises(SpoolUnavailable):
            await policy.put(1)
        policy.come_back()
        await policy.is_in(State.ONLINE)
        assert not await policy.put(1)
    finally:
        await policy.end()


async def test_beginning_and_end_are_one_line_each(policy: Policy) -> None:
    """An operator sees when, why, how many and how long, and is not drowned."""
    with structlog.testing.capture_logs() as logs:
        policy.go_away()
        for number in range(5):
            await policy.put(number)
        policy.come_back()
        policy.drain()
        await policy.is_in(State.ONLINE)
    lines = [line for line in logs if line["log_level"] != "debug"]
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("spool.began", "warning"),
        ("spool.ended", "info"),
    ]
    assert lines[0]["reason"] == "away"
    assert lines[1]["replayed"] == 5
    assert policy.appender.reason == "", "nothing is wrong any more"


async def test_after_an_outage_nobody_looks_all_the_time_for_more(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has ended it has been done: the next look is due when it is without an outage."""
    policy.go_away()
    await policy.put(1)
    policy.come_back()
    policy.drain()
    await policy.is_in(State.ONLINE)
    looks: list[None] = []

    async def adopt() -> int:
        looks.append(None)
        return 0

    monkeypatch.setattr(policy.spool, "adopt", adopt)
    for _ in range(100):
        await asyncio.sleep(0)
    assert looks == []


async def test_nothing_is_replayed_into_a_redis_that_is_not_fit(policy: Policy) -> None:
    """As where its data are made for other partitions: there nobody would look for a message."""
    policy.go_away()
    await policy.put(1)
    policy.come_back()

    async def refuse() -> None:
        raise StartRefused(["other partitions"])

    policy.appender._probe = refuse
    with pytest.raises(StartRefused):
        await policy.appender.keep_draining()
    assert policy.store.order == []
    assert policy.spool.messages == 1


@pytest.mark.parametrize("error", [NotConnected("away"), BrokerRefused("OOM", "full")])
def test_of_several_messages_nobody_knows_which_were_written(error: InturnError) -> None:
    """Those before the one that failed may be there: handled here they would be handled twice."""
    assert _is_certainly_not_written([message(1)], error)
    assert not _is_certainly_not_written([message(1), message(2)], error)
    assert not _is_certainly_not_written([message(1)], BrokerUnavailable("no answer"))
