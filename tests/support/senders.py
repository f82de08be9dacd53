"""Users who write to ingest all the time, and what of it has come to Redis."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from functools import partial

import aiohttp

from shared.connect import open_pipe
from shared.keys import Keys
from shared.wire import decode_message
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

INSTANCE = "shop"
USERS = 40


class Senders:
    """
    Users who write one message after the answer to the other, each to one ingest.

    What is not answered 202 is sent again under the same id, as providers do.
    """

    def __init__(self) -> None:
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.spooled = 0
        self.refused = 0
        self.slowest_s = 0.0
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, ingests: list[ServiceProcess], name: str = "user") -> None:
        """``USERS`` more begin to write."""
        for number in range(USERS):
            ingest = ingests[number % len(ingests)]
            self._tasks.append(asyncio.create_task(self._write(f"{name}-{number}", ingest)))

    async def end(self) -> None:
        """Every user waits for the answer to the last message."""
        self._ending = True
        await asyncio.gather(*self._tasks)

    @property
    def accepted(self) -> int:
        """Messages that were answered 202; raises what a user has met instead."""
        for task in self._tasks:
            if task.done():
                task.result()
        return sum(len(ids) for ids in self.sent.values())

    def has_spooled(self, count: int) -> bool:
        """Whether more than ``count`` messages were answered as spooled."""
        return self.spooled > count

    async def _write(self, user: str, ingest: ServiceProcess) -> None:
        async with aiohttp.ClientSession() as session:
            while not self._ending:
                message_id = f"{user}-{len(self.sent[user])}"
                body = {"instance": INSTANCE, "user": user, "text": "hi", "message_id": message_id}
                posting = partial(self._post, session, ingest, body)
                await eventually(posting, "a 202", 60.0)
                self.sent[user].append(message_id)
                await asyncio.sleep(0.01)

    async def _post(
        self, session: aiohttp.ClientSession, ingest: ServiceProcess, body: dict[str, str]
    ) -> bool:
        began_s = time.monotonic()
        try:
            async with session.post(f"{ingest.url}/api/v1/messages", json=body) as answer:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
                if answer.status != 202:
                    assert answer.status == 503
                    assert answer.headers["Retry-After"]
                    self.refused += 1
                    return False
                [accepted] = (await answer.json())["accepted"]
                assert (accepted["entry_id"] is None) == accepted["spooled"]
                self.spooled += accepted["spooled"]
                return True
        except aiohttp.ClientError:
            return False


def assert_kept(found: dict[str, list[str]], sent: dict[str, list[str]]) -> None:
    """Every accepted message is one entry, and each user's stand in their order."""
    for user, ids in sent.items():
        there = found.get(user, [])
        assert not set(ids) - set(there), f"{user}: lost"
        assert len(set(there)) == len(there), f"{user}: two entries of one message"
        assert there == ids, f"{user}: out of order"


async def found(url: str, keys: Keys) -> dict[str, list[str]]:
    """Each user's message ids in the order of their entries."""
    by_user = defaultdict(list)
    async with open_pipe(url, timeout_ms=5000, name="look") as pipe:
        for number in range(keys.partitions):
            stream = keys.partition(number).stream(INSTANCE)
            for _, (_, value) in await pipe.call("XRANGE", stream, "-", "+"):
                message = decode_message(INSTANCE, value)
                by_user[message.user].append(message.message_id)
    return by_user
