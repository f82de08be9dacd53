"""Any run of a queue, heard from any point of it over HTTP, leads to what status shows."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from ingest.frames import CONNECTED, HEARTBEAT
from tests.support.clients import look_into
from tests.support.streams import Stream, StreamServer, Told, serving_streams

FACE = ("clinic", "serving", "last", "waiting", "average_service_s", "estimated_wait_s")

users = st.sampled_from(["ann", "bob", "cid", "dot"])
steps = st.one_of(
    st.tuples(st.just("enter"), users),
    st.tuples(st.just("done"), st.none()),
    st.tuples(st.just("reset"), st.none()),
    st.tuples(st.just("listen"), st.integers(0, 40)),
    st.tuples(st.just("trim"), st.integers(1, 6)),
)


@dataclass
class Ear:
    """Follows what it is told by the changes alone, and holds that each one tells the outcome."""

    stream: Stream
    serving: int | None = None
    last: int = 0
    called: int = 0
    face: dict[str, Any] | None = None

    def hear(self, told: Told) -> None:
        """One event."""
        if told.kind == HEARTBEAT:
            return
        data = told.data
        if "change" not in data:
            self.serving, self.last = data["serving"], data["last"]
            self.called = self.last - data["waiting"]
        elif data["change"] == "entered":
            self.last += 1
            assert data["number"] == self.last
        elif data["change"] == "done":
            assert data["number"] == self.serving
            self.serving = self.called + 1 if self.called < self.last else None
            self.called += self.called < self.last
        else:
            self.serving, self.last, self.called = None, 0, 0
        self.face = {name: data[name] for name in FACE}
        told_numbers = (data["serving"], data["last"], data["waiting"])
        assert told_numbers == (self.serving, self.last, self.last - self.called)


class Run:
    """One example: a clinic of its own, and all who listen to it."""

    def __init__(self, server: StreamServer, client: Redis, clinic: str) -> None:
        self.server = server
        self.client = client
        self.clinic = clinic
        self.ears: list[Ear] = []
        self.ids = ["0-0"]
        self.open = AsyncExitStack()

    async def listen(self, since: str | None) -> Ear:
        """One more, who was there at ``since`` before."""
        ear = Ear(await self.open.enter_async_context(self.server.listen(self.clinic, since)))
        told = await ear.stream.next()
        assert told.kind == CONNECTED
        ear.hear(told)
        self.ears.append(ear)
        return ear

    async def take(self, step: str, value: Any) -> None:
        """One step."""
        tickets = self.server.tickets
        if step == "enter":
            await tickets.enter(self.clinic, value)
        elif step == "done":
            await tickets.done(self.clinic)
        elif step == "reset":
            await tickets.reset(self.clinic)
        elif step == "listen":
            await self.listen(self.ids[value] if value < len(self.ids) else None)
        else:
            events = self.server.events_key(self.clinic)
            await self.client.xtrim(events, maxlen=value, approximate=False)
        newest = (await tickets.snapshot(self.clinic)).event_id
        if newest != self.ids[-1] and step != "trim":
            self.ids.append(newest)

    async def end(self) -> None:
        """Everybody who ever listened, and whoever comes back with any id, knows what is so."""
        await self.server.tickets.enter(self.clinic, "the last one")
        self.ids.append((await self.server.tickets.snapshot(self.clinic)).event_id)
        for since in [*self.ids, None]:
            await self.listen(since)
        status = (await self.server.tickets.status(self.clinic)).face()
        for ear in self.ears:
            while ear.face != status or ear.stream.last_id != self.ids[-1]:
                ear.hear(await ear.stream.next())


@pytest.mark.timeout(170)
def test_whoever_listens_knows_what_is_so(redis_url: str, prefix: str) -> None:
    """From the start, from the middle, from any id, also of one that is not kept any more."""
    clinics = (f"clinic {number}" for number in itertools.count())

    with asyncio.Runner() as runner:
        held = AsyncExitStack()
        server = runner.run(held.enter_async_context(serving_streams(redis_url, prefix)))
        client = look_into(redis_url)

        @settings(
            max_examples=150,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        @given(st.lists(steps, max_size=40))
        def examples(taken: list[tuple[str, Any]]) -> None:
            async def play() -> None:
                run = Run(server, client, next(clinics))
                async with run.open:
                    for step, value in taken:
                        await run.take(step, value)
                    await run.end()

            runner.run(play())

        try:
            examples()
        finally:
            runner.run(client.aclose())
            runner.run(held.aclose())
