"""Tickets in Redis: what is kept of a queue, to which bounds, and who is told of a change."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta, timezone
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.keys import ClinicKeys
from shared.tickets import Gap, Status, Tickets
from shared.tickets.store import DAYS_KEPT, EVENTS_KEPT
from tests.support.clients import urls_of
from tests.support.contents import dump
from tests.support.ticketing import CLINIC


async def enter_many(tickets: Tickets, count: int, clinic: str = CLINIC) -> list[int]:
    """The numbers of so many users who come at once, over one connection."""
    calls = [tickets.enter(clinic, f"user {number}") for number in range(count)]
    return [entered.number for entered in await asyncio.gather(*calls)]


async def test_looking_leaves_nothing_behind(
    tickets: Tickets, redis_client: Any, prefix: str
) -> None:
    """Names are made up by whoever asks."""
    assert await tickets.status(CLINIC) == Status(clinic=CLINIC)
    assert (await tickets.snapshot(CLINIC)).event_id == "0-0"
    assert await tickets.days(CLINIC) == []
    assert await tickets.events_since(CLINIC, "0-0") == []
    await tickets.done(CLINIC)
    assert await dump(redis_client, prefix) == {}


async def test_sums_are_of_redis_times(tickets: Tickets, redis_client: Any, of: ClinicKeys) -> None:
    """From entering to the call, and from the call to the end, in seconds."""
    for user in ("ann", "bob", "cid"):
        await tickets.enter(CLINIC, user)
    # as if they had come 90 s, and the first had been called 60 s ago
    for number in (1, 2, 3):
        row = (await redis_client.hget(of.tickets, str(number))).decode().split()
        await redis_client.hset(of.tickets, str(number), f"{int(row[0]) - 90_000} 0 0 {row[3]}")
    first = await tickets.done(CLINIC)
    assert first.waited_ms is not None
    assert 90_000 <= first.waited_ms < 100_000
    row = (await redis_client.hget(of.tickets, "1")).decode().split()
    await redis_client.hset(of.tickets, "1", f"{row[0]} {int(row[1]) - 60_000} 0 ann")
    status = (await tickets.done(CLINIC)).status
    average_s = status.average_service_s
    assert average_s is not None
    assert 60 <= average_s < 70
    assert status.estimated_wait_s == pytest.approx(2 * average_s)
    assert (await tickets.status(CLINIC)).average_service_s == average_s
    entered, called, served, user = (await redis_client.hget(of.tickets, "1")).decode().split()
    assert int(entered) < int(called) < int(served)
    assert user == "ann"
    await tickets.reset(CLINIC)
    (day,) = await tickets.days(CLINIC)
    assert day.average_service_s == average_s
    assert day.average_wait_s is not None
    assert 90 <= day.average_wait_s < 100
    assert (day.served, day.unserved) == (2, 1)


async def test_a_day_has_the_date_on_which_it_began(
    pipe: Pipe, prefix: str, of: ClinicKeys
) -> None:
    """In the time zone that is set; who resets next morning ends the day before."""
    began_ms = 1_767_225_600_000 - 30 * 60_000  # 2025-12-31T23:30Z
    await pipe.call("RPUSH", of.days, f"{began_ms} {began_ms + 40_000_000} 7 5 4 8000 50000")
    east = Tickets(pipe, prefix, zone=timezone(timedelta(hours=1)))
    utc = Tickets(pipe, prefix)
    ((in_utc,), (in_east,)) = await utc.days(CLINIC), await east.days(CLINIC)
    assert (in_utc.date, in_east.date) == (date(2025, 12, 31), date(2026, 1, 1))
    assert in_utc.face() == {
        "date": "2025-12-31",
        "began_at": began_ms,
        "ended_at": began_ms + 40_000_000,
        "last": 7,
        "served": 5,
        "unserved": 2,
        "average_service_s": 2.0,
        "average_wait_s": 10.0,
    }


async def test_a_day_begins_with_its_first_user(tickets: Tickets) -> None:
    """Not with the reset before it."""
    await tickets.enter(CLINIC, "ann")
    await tickets.reset(CLINIC)
    await tickets.enter(CLINIC, "ann")
    await tickets.done(CLINIC)
    await tickets.reset(CLINIC)
    first, second = await tickets.days(CLINIC)
    events = await tickets.events_since(CLINIC, "0-0")
    assert not isinstance(events, Gap)
    assert [first.began_ms, first.ended_ms, second.began_ms] == [e.at_ms for e in events[:3]]
    assert (first.served, first.unserved, second.served, second.unserved) == (0, 1, 1, 0)
    assert second.average_service_s is None, "the last one was not finished by done"


async def test_so_many_days_are_kept(tickets: Tickets, pipe: Pipe, of: ClinicKeys) -> None:
    """The newest ones."""
    for number in range(DAYS_KEPT):
        await pipe.call("RPUSH", of.days, f"{number} {number} 1 1 1 1 1")
    await tickets.enter(CLINIC, "ann")
    await tickets.reset(CLINIC)
    days = await tickets.days(CLINIC)
    assert len(days) == DAYS_KEPT
    assert days[0].began_ms == 1
    assert days[-1].began_ms > DAYS_KEPT


async def test_a_reset_forgets_who_was_there(
    tickets: Tickets, redis_client: Any, prefix: str
) -> None:
    """No user is left anywhere, and none was ever in an event."""
    await tickets.enter(CLINIC, "planted-user", "planted-key")
    await tickets.done(CLINIC)
    events = await tickets.events_since(CLINIC, "0-0")
    assert "planted" not in repr(events)
    await tickets.reset(CLINIC)
    left = await dump(redis_client, prefix)
    assert len(left) == 3, "queue, days and events"
    assert b"planted" not in b"".join(left.values())


async def test_events_are_kept_to_a_bound_and_a_gap_is_told(
    tickets: Tickets, redis_client: Any, of: ClinicKeys
) -> None:
    """Whoever comes back too late, or with an id that never was, hears of it."""
    await tickets.enter(CLINIC, "first")
    first = await tickets.snapshot(CLINIC)
    assert await tickets.events_since(CLINIC, first.event_id) == []
    await enter_many(tickets, EVENTS_KEPT + 500)
    assert EVENTS_KEPT <= await redis_client.xlen(of.events) < EVENTS_KEPT + 200
    assert await tickets.events_since(CLINIC, first.event_id) == Gap()
    assert await tickets.events_since(CLINIC, "0-0") == Gap()
    ((oldest, _),) = await redis_client.xrange(of.events, count=1)
    page = await tickets.events_since(CLINIC, oldest.decode(), count=10)
    assert not isinstance(page, Gap)
    assert len(page) == 10
    now = await tickets.snapshot(CLINIC)
    later = f"{int(now.event_id.split('-')[0]) + 60_000}-0"
    for unknown in (later, "", "0", "x", "1-1", "-", "+", "99999999999999999999-0", "1-1-1"):
        assert await tickets.events_since(CLINIC, unknown) == Gap()


async def test_each_change_is_told_once_on_the_channel(
    tickets: Tickets, pipe: Pipe, of: ClinicKeys, redis_url: str
) -> None:
    """With the clinic's name, by any server; what changes nothing is not told."""
    client: Any = Redis.from_url(urls_of(redis_url)[-1], protocol=2)
    listener = client.pubsub(ignore_subscribe_messages=True)
    await listener.subscribe(tickets.channel)
    await tickets.enter(CLINIC, "ann")
    await tickets.enter(CLINIC, "ann")
    await tickets.status(CLINIC, "ann")
    await tickets.done(CLINIC)
    await tickets.done(CLINIC, "key")
    await tickets.done(CLINIC, "key")
    await tickets.done(CLINIC)
    await tickets.reset(CLINIC)
    await tickets.reset(CLINIC)
    await pipe.call_at(of.queue, "PUBLISH", tickets.channel, "end")
    told: list[bytes] = []
    async with asyncio.timeout(20):
        while b"end" not in told:
            if message := await listener.get_message(timeout=1):
                told.append(message["data"])
    await listener.aclose()
    await client.aclose()
    events = await tickets.events_since(CLINIC, "0-0")
    assert not isinstance(events, Gap)
    assert told == [CLINIC.encode()] * len(events) + [b"end"]
    assert [event.change for event in events] == ["entered", "done", "done", "reset"]
