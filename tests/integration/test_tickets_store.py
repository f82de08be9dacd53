"""Tickets in Redis: a number each, what is refused whole, and scripts that run whole or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from shared.connect import Pipe, pipe_to
from shared.durability import Durability
from shared.errors import BrokerRefused, NotDurable, RequestRefused
from shared.keys import ClinicKeys
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from shared.tickets import Gap, Tickets
from tests.support.cluster import free_pair
from tests.support.contents import dump
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.ticketing import CLINIC
from tests.support.waiting import eventually


async def test_many_at_once_get_a_number_each(redis_url: str, prefix: str) -> None:
    """Five hundred over five connections: 1 to 500, each once."""
    async with (
        running_pipe(redis_url) as a,
        running_pipe(redis_url) as b,
        running_pipe(redis_url) as c,
    ):
        doors = [Tickets(pipe, prefix) for pipe in (a, b, c)]
        calls = [doors[n % 3].enter(CLINIC, f"user {n}") for n in range(500)]
        numbers = [entered.number for entered in await asyncio.gather(*calls)]
    assert sorted(numbers) == list(range(1, 501))


async def test_all_keys_of_a_clinic_are_in_one_slot(
    tickets: Tickets, redis_client: Any, prefix: str
) -> None:
    """Also where its name holds braces, colons and other letters; and clinics do not mix."""
    names = ["a}b{c:d", "عيادة النور", "a", "a:queue", "%7D", "x" * 128]
    for name in names:
        await tickets.enter(name, "ann", "key")
        await tickets.done(name)
        await tickets.reset(name)
        await tickets.enter(name, "ann", "key")
        slots = {key_slot(key.encode()) for key in keys_of(prefix, name)}
        assert len(slots) == 1
    assert len({key for name in names for key in keys_of(prefix, name)}) == 6 * len(names)
    found = [key.decode() async for key in redis_client.scan_iter(f"{prefix}:*")]
    assert sorted(found) == sorted(key for name in names for key in keys_of(prefix, name))


def keys_of(prefix: str, clinic: str) -> list[str]:
    """All of them."""
    of = ClinicKeys.of(prefix, clinic)
    return [getattr(of, name) for name in ClinicKeys.__slots__]


@pytest.mark.parametrize("clinic", ["", "x" * 129, "a\nb", "a\0"])
async def test_a_clinic_needs_a_name(tickets: Tickets, clinic: str) -> None:
    """Whatever is asked of it."""
    for call in (
        tickets.enter(clinic, "ann"),
        tickets.status(clinic),
        tickets.done(clinic),
        tickets.reset(clinic),
        tickets.days(clinic),
        tickets.snapshot(clinic),
        tickets.events_since(clinic, "0-0"),
    ):
        with pytest.raises(RequestRefused, match="clinic") as caught:
            await call
        assert caught.value.status == 400


async def test_only_listed_clinics_where_they_are_listed(pipe: Pipe, prefix: str) -> None:
    """An unlisted one is unknown, also to who only asks."""
    settings = Settings(prefix=prefix, ticket_clinics=(CLINIC,))
    tickets = Tickets.for_settings(settings, pipe)
    assert (await tickets.enter(CLINIC, "ann")).number == 1
    for call in (tickets.enter("other", "ann"), tickets.status("other"), tickets.done("other")):
        with pytest.raises(RequestRefused) as caught:
            await call
        assert (caught.value.status, caught.value.code) == (404, "unknown_clinic")


@pytest.mark.parametrize("user", ["", "  ", "a\tb", "x" * 257, "x" * 10_000])
async def test_a_user_needs_a_name(tickets: Tickets, user: str) -> None:
    """And nothing is written for one without."""
    with pytest.raises(RequestRefused, match="user") as caught:
        await tickets.enter(CLINIC, user)
    assert caught.value.status == 400
    assert (await tickets.status(CLINIC)).last == 0


async def test_who_waits_may_be_limited(pipe: Pipe, prefix: str) -> None:
    """Those who are called make room; who waits already keeps their number."""
    tickets = Tickets.for_settings(Settings(prefix=prefix, ticket_waiting_max=2), pipe)
    for user in ("ann", "bob"):
        await tickets.enter(CLINIC, user)
    with pytest.raises(RequestRefused) as caught:
        await tickets.enter(CLINIC, "cid", "key")
    assert (caught.value.status, caught.value.code) == (409, "queue_full")
    assert (await tickets.enter(CLINIC, "ann")).already
    await tickets.done(CLINIC)
    entered = await tickets.enter(CLINIC, "cid", "key")
    assert (entered.number, entered.already) == (3, False)


async def test_an_old_key_takes_no_newer_number_away(tickets: Tickets) -> None:
    """Who was served comes again; then their first request is repeated: they wait as before."""
    await tickets.enter(CLINIC, "ann", "key")
    await tickets.done(CLINIC)
    await tickets.done(CLINIC)
    assert (await tickets.enter(CLINIC, "ann")).number == 2
    assert (await tickets.enter(CLINIC, "ann", "key")).number == 1
    again = await tickets.enter(CLINIC, "ann")
    assert (again.number, again.already) == (2, True)


@pytest.mark.parametrize("broken", ClinicKeys.__slots__)
async def test_a_key_of_another_type_stops_a_script_whole(
    tickets: Tickets, redis_client: Any, prefix: str, of: ClinicKeys, broken: str
) -> None:
    """Nothing is written by halves: no number lost, nobody skipped, no day counted twice."""
    for user in ("ann", "bob"):
        await tickets.enter(CLINIC, user, user)
    await tickets.done(CLINIC)
    await redis_client.delete(getattr(of, broken))
    await redis_client.set(getattr(of, broken), "somebody else's")
    goes_on = {
        "enter": {"days"},
        "done": {"numbers", "days"},
        "reset": {"tickets", "numbers"},  # it only removes them
    }
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "enter": lambda: tickets.enter(CLINIC, "cid", "key"),
        "done": lambda: tickets.done(CLINIC, "key"),
        "reset": lambda: tickets.reset(CLINIC, "key"),
    }
    for verb, call in calls.items():
        if broken in goes_on[verb]:
            await call()
            continue
        before = await dump(redis_client, prefix)
        with pytest.raises(BrokerRefused, match="WRONGTYPE"):
            await call()
        assert await dump(redis_client, prefix) == before


async def test_what_is_known_is_written_again(tickets: Tickets, redis_client: Any) -> None:
    """WAIT counts from a connection's last write: an answer without one would promise too much."""
    await tickets.enter(CLINIC, "ann", "key")
    await tickets.done(CLINIC, "key")
    await tickets.reset(CLINIC, "key")
    await tickets.enter(CLINIC, "ann", "key")
    for call in (
        lambda: tickets.enter(CLINIC, "ann"),
        lambda: tickets.enter(CLINIC, "ann", "key"),
        lambda: tickets.reset(CLINIC, "key"),
        lambda: tickets.done(CLINIC, "other"),
        lambda: tickets.done(CLINIC, "other"),
    ):
        before = (await redis_client.info("persistence"))["rdb_changes_since_last_save"]
        await call()
        assert (await redis_client.info("persistence"))["rdb_changes_since_last_save"] > before


async def test_a_script_that_redis_forgot_runs_once(tickets: Tickets, pipe: Pipe) -> None:
    """After SCRIPT FLUSH it is sent again as text, and only then executed."""
    assert (await tickets.enter(CLINIC, "ann")).number == 1
    await pipe.call_everywhere("SCRIPT", "FLUSH")
    assert (await tickets.enter(CLINIC, "bob")).number == 2
    await pipe.call_everywhere("SCRIPT", "FLUSH")
    assert (await tickets.done(CLINIC)).status.serving == 1


async def test_a_number_that_is_not_durable_is_not_told(
    redis_url: str, pipe: Pipe, prefix: str
) -> None:
    """Without the replicas that are asked for; entering again, and looking, find it."""
    durable = pipe_to(
        redis_url, timeout_ms=1000, name="test", durability=Durability.parse("replicas:9")
    )
    task = asyncio.create_task(durable.run(), name="durable")
    tickets = Tickets(durable, prefix, reads=pipe)
    for _ in range(2):
        with pytest.raises(NotDurable) as caught:
            await tickets.enter(CLINIC, "ann", "key")
        assert caught.value.answer[2] == 1
    assert (await tickets.status(CLINIC, "ann")).last == 1
    assert await tickets.days(CLINIC) == []
    task.cancel()
    await asyncio.wait([task])


async def test_a_node_of_a_cluster_runs_every_verb(redis_binary: ServerBinary, prefix: str) -> None:
    """It refuses a script whose keys are in several slots; a listener hears of each change."""
    node = RedisServer(redis_binary, port=free_pair(), options={"cluster-enabled": "yes"})
    with node as server:
        async with running_pipe(server.url) as pipe, Redis.from_url(server.url) as client:
            await pipe.call("CLUSTER", "ADDSLOTS", *range(16384))

            async def is_whole() -> bool:
                return b"cluster_state:ok" in await pipe.call("CLUSTER", "INFO")

            await eventually(is_whole, "a cluster of one node")
            tickets = Tickets(pipe, prefix)
            listener: Any = client.pubsub(ignore_subscribe_messages=True)
            await listener.subscribe(tickets.channel)
            assert (await tickets.enter(CLINIC, "ann", "key")).number == 1
            assert (await tickets.done(CLINIC, "key")).status.serving == 1
            assert (await tickets.status(CLINIC, "ann")).last == 1
            assert (await tickets.reset(CLINIC, "key")).status.last == 0
            assert len(await tickets.days(CLINIC)) == 1
            events = await tickets.events_since(CLINIC, "0-0")
            assert not isinstance(events, Gap)
            assert len(events) == 3
            async with asyncio.timeout(20):
                for _ in events:
                    while not (message := await listener.get_message(timeout=1)):
                        pass
                    assert message["data"] == CLINIC.encode()
            await listener.aclose()
