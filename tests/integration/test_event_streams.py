"""``/api/v1/events/stream``: what a listener is told, when, and what it can come back with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest.event_stream import RETRY_MS
from ingest.events import PATH
from ingest.frames import CONNECTED, HEARTBEAT, QUEUE_UPDATE, SNAPSHOT
from ingest.hub import FIRST, PAGE
from shared.settings import Settings
from shared.tickets import Status
from tests.support.streams import CLINIC, SELDOM, StreamServer, Told, serving_streams
from tests.support.waiting import eventually

FACE = ("clinic", "serving", "last", "waiting", "average_service_s", "estimated_wait_s")


@pytest.fixture
async def server(redis_url: str, prefix: str) -> AsyncIterator[StreamServer]:
    """Where nothing but changes is told."""
    async with serving_streams(redis_url, prefix) as running:
        yield running


def face_of(told: Told) -> dict[str, Any]:
    """The queue's state in an event, as ``status`` has it."""
    return {name: told.data[name] for name in FACE}


async def state_now(server: StreamServer, clinic: str = CLINIC) -> dict[str, Any]:
    """What ``status`` says."""
    return (await server.tickets.status(clinic)).face()


async def some_changes(server: StreamServer) -> list[Told]:
    """A run of all kinds of changes, as somebody heard them who was there from the start."""
    async with server.listen() as stream:
        await stream.next(CONNECTED)
        for user in ("ann", "bob", "cid"):
            await server.tickets.enter(CLINIC, user)
        for _ in range(3):
            await server.tickets.done(CLINIC)
        await server.tickets.reset(CLINIC)
        await server.tickets.enter(CLINIC, "dot")
        return [await stream.next(QUEUE_UPDATE) for _ in range(8)]


async def test_a_listener_is_told_the_queue_at_once(server: StreamServer) -> None:
    """CONNECTED comes first, with all that status says, an id, and when to come back."""
    await server.tickets.enter(CLINIC, "ann")
    await server.tickets.enter(CLINIC, "bob")
    await server.tickets.done(CLINIC)

    async with server.listen() as stream:
        told = await stream.next()
        headers = stream.answer.headers

    assert told.kind == told.data["type"] == CONNECTED
    assert face_of(told) == await state_now(server)
    assert (told.data["serving"], told.data["next"]) == (1, [2])
    assert (told.data["resumed"], told.data["gap"]) == (False, False)
    assert told.id == told.data["id"] == (await server.tickets.snapshot(CLINIC)).event_id
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert stream.retry_ms is not None
    assert RETRY_MS[0] <= stream.retry_ms <= RETRY_MS[1]


async def test_each_change_is_pushed_with_the_queue_after_it(server: StreamServer) -> None:
    """Every verb is told once, in order, to all who listen to that clinic and to nobody else."""
    async with (
        server.listen() as stream,
        server.listen() as second,
        server.listen("south") as other,
    ):
        for each in (stream, second, other):
            await each.next(CONNECTED)
        heard: list[Told] = []
        for change in ("enter", "enter", "done", "done", "reset"):
            if change == "enter":
                await server.tickets.enter(CLINIC, f"user {len(heard)}")
            else:
                await getattr(server.tickets, change)(CLINIC)
            heard.append(await stream.next())
            assert face_of(heard[-1]) == await state_now(server)
            assert await second.next() == heard[-1]
        await server.tickets.enter("south", "ann")
        assert (await other.next()).data["clinic"] == "south"

    assert [told.kind for told in heard] == [QUEUE_UPDATE] * 5
    assert [(told.data["change"], told.data["number"]) for told in heard] == [
        ("entered", 1),
        ("entered", 2),
        ("done", None),
        ("done", 1),
        ("reset", None),
    ]
    assert [told.data["next"] for told in heard] == [[1], [1, 2], [2], [], []]
    assert all(told.id == told.data["id"] for told in heard)


async def test_who_comes_back_misses_nothing(server: StreamServer) -> None:
    """From every id that was ever told: the queue as it was there, then all changes since."""
    changes = await some_changes(server)
    ids = [FIRST, *(told.id for told in changes)]

    for at, since in enumerate(ids):
        async with server.listen(since=since) as stream:
            connected = await stream.next()
            rest = [await stream.next() for _ in changes[at:]]
            await server.tickets.enter(CLINIC, f"user {at}")
            live = await stream.next()
        assert (connected.kind, connected.id) == (CONNECTED, since)
        assert (connected.data["resumed"], connected.data["gap"]) == (True, False)
        before = face_of(changes[at - 1]) if at else Status(clinic=CLINIC).face()
        assert face_of(connected) == before
        assert rest == changes[at:]
        assert live.data["number"] == changes[-1].data["last"] + 1
        changes.append(live)


async def test_long_absences_are_told_page_by_page(server: StreamServer) -> None:
    """More changes than one read brings, and more that come meanwhile: all, once, in order."""
    for number in range(PAGE * 2 + 7):
        await server.tickets.enter(CLINIC, f"user {number}")

    async with server.listen(since=FIRST) as stream:
        await stream.next(CONNECTED)
        await server.tickets.enter(CLINIC, "one more")
        heard = [await stream.next() for _ in range(PAGE * 2 + 8)]

    assert [told.data["number"] for told in heard] == list(range(1, PAGE * 2 + 9))


@pytest.mark.parametrize("since", ["1-1", "99999999999999999-0", "x", "-", "5", "0-1", "é"])
async def test_an_id_that_is_not_kept_is_answered_with_a_snapshot_that_says_so(
    server: StreamServer, since: str
) -> None:
    """Then nobody knows what was missed: the queue as it is now, with ``gap``."""
    await server.tickets.enter(CLINIC, "ann")

    async with server.listen(since=since) as stream:
        told = await stream.next()
        await server.tickets.enter(CLINIC, "bob")
        live = await stream.next()

    assert (told.kind, told.data["gap"], told.data["resumed"]) == (CONNECTED, True, False)
    assert (told.data["last"], live.data["last"]) == (1, 2)


async def test_what_the_stream_has_dropped_is_a_gap(
    server: StreamServer, redis_client: Redis
) -> None:
    """Of ids that it does not hold any more; those that it holds resume as ever."""
    changes = await some_changes(server)
    await redis_client.xtrim(server.events_key(CLINIC), maxlen=3, approximate=False)

    for at, since in enumerate([FIRST, *(told.id for told in changes)], start=-1):
        async with server.listen(since=since) as stream:
            told = await stream.next(CONNECTED)
        is_kept = at >= len(changes) - 3
        assert told.data["gap"] is not is_kept, since
        assert told.data["resumed"] is is_kept
        if not is_kept:
            assert face_of(told) == await state_now(server)


async def test_an_empty_queue_is_one(server: StreamServer) -> None:
    """Where nothing has ever happened there is an id to come back with, too."""
    async with server.listen() as stream:
        told = await stream.next()
    assert (told.id, told.data["last"], told.data["serving"]) == (FIRST, 0, None)

    async with server.listen(since=FIRST) as stream:
        assert (await stream.next()).data["resumed"] is True
        await server.tickets.enter(CLINIC, "ann")
        assert (await stream.next()).data["number"] == 1


async def test_heartbeats_and_snapshots_come_by_themselves(redis_url: str, prefix: str) -> None:
    """A heartbeat again and again; a snapshot only where something has changed since."""
    times = replace(SELDOM, heartbeat_s=0.05, snapshot_s=0.03)
    async with serving_streams(redis_url, prefix, times) as server, server.listen() as stream:
        await stream.next(CONNECTED)
        for _ in range(3):
            told = await stream.next()
            assert told == Told(
                HEARTBEAT, None, {"type": HEARTBEAT, "clinic": CLINIC, "stale": False}
            )
        await server.tickets.enter(CLINIC, "ann")
        change = await stream.next(QUEUE_UPDATE)
        told = await stream.next(SNAPSHOT)
        assert (told.id, told.data["gap"]) == (change.id, False)
        assert face_of(told) == await state_now(server)
        for _ in range(3):
            assert (await stream.next()).kind == HEARTBEAT


async def test_the_server_ends_a_stream_after_its_time(redis_url: str, prefix: str) -> None:
    """
    Cleanly, so that a browser comes back with the last id and goes on; never before it has told
    the queue, however short its time is.
    """
    async with serving_streams(redis_url, prefix, replace(SELDOM, life_s=0.0)) as server:
        await server.tickets.enter(CLINIC, "ann")
        async with server.listen() as stream:
            told = await stream.rest()
        assert [each.kind for each in told] == [CONNECTED]
        async with server.listen(since=stream.last_id) as again:
            assert (await again.next(CONNECTED)).data["resumed"] is True


async def test_http_1_0_has_no_chunks(server: StreamServer) -> None:
    """What nginx speaks to us unless it is told otherwise: frames as they are, until the end."""
    await server.tickets.enter(CLINIC, "ann")
    reader, writer = await asyncio.open_connection(server.http.host, server.http.port)
    writer.write(f"GET {PATH}?clinic={CLINIC} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(20):
        assert b"chunked" not in (await reader.readuntil(b"\r\n\r\n")).lower()
        assert (await reader.readline()).startswith(b"retry: ")
        assert await reader.readline() == b"\n"
        assert await reader.readline() == b"event: CONNECTED\n"
        await reader.readuntil(b"\n\n")
        await server.tickets.enter(CLINIC, "bob")
        assert await reader.readline() == b"event: QUEUE_UPDATE\n"
        await reader.readuntil(b"\n\n")
        server.hub.close()
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "query, status, code",
    [
        ("", 400, "missing_field"),
        ("?clinic=", 400, "invalid_field"),
        ("?clinic=a&clinic=b", 400, "missing_field"),
        (f"?clinic={'x' * 129}", 400, "invalid_field"),
        ("?clinic=a%0Ab", 400, "invalid_field"),
        ("?clinic=elsewhere", 404, "unknown_clinic"),
    ],
)
async def test_bad_clinics_are_refused(
    redis_url: str, prefix: str, query: str, status: int, code: str
) -> None:
    """As on every other path of the tickets, before anything is opened."""
    async with serving_streams(redis_url, prefix, clinics=[CLINIC]) as server:
        answer = await server.http.request("GET", PATH + query)
        assert (answer.status, answer.json["error"]["code"]) == (status, code)
        assert (await server.http.request("HEAD", f"{PATH}?clinic={CLINIC}")).status == 405
        assert (await server.http.post(f"{PATH}?clinic={CLINIC}", {})).status == 405
        assert len(server.hub) == 0


async def test_there_are_not_more_listeners_than_allowed(redis_url: str, prefix: str) -> None:
    """503 with Retry-After beyond; a place that was left is free again."""
    async with serving_streams(redis_url, prefix, listeners_max=2) as server:
        async with server.listen() as first, server.listen("south") as second:
            await first.next(CONNECTED)
            await second.next(CONNECTED)
            full = await server.http.request("GET", f"{PATH}?clinic={CLINIC}")
            assert (full.status, full.json["error"]["code"]) == (503, "too_many_listeners")
            assert int(full.headers["Retry-After"]) > 0
            assert "inturn_ticket_listeners 2.0" in server.metrics.render().decode()
        await eventually(lambda: server.hub.count_living() < 2, "a place")
        async with server.listen() as again:
            await again.next(CONNECTED)


async def test_everybody_may_listen_once_a_token_is_set(redis_url: str, prefix: str) -> None:
    """As on every path for who waits; without a token, this machine alone."""
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    async with serving_streams(redis_url, prefix) as server:
        path = f"{PATH}?clinic={CLINIC}"
        assert (await server.http.request("GET", path, headers=forwarded)).status == 401
    settings = Settings(api_token="s3cret")
    async with (
        serving_streams(redis_url, prefix, settings=settings) as server,
        server.listen(**forwarded) as stream,
    ):
        await stream.next(CONNECTED)


async def test_shutdown_ends_streams_at_once(server: StreamServer) -> None:
    """Cleanly; and nobody new is let in."""
    async with server.listen() as stream:
        await stream.next(CONNECTED)
        server.hub.close()
        assert await stream.rest() == []
    late = await server.http.request("GET", f"{PATH}?clinic={CLINIC}")
    assert late.status == 503
