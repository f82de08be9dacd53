"""
The load: users that write in bursts, skewed over instances and users, some messages twice or more.

A user is pinned to one ingest process and sends the next message after the answer to the one
before; what is not answered well is sent again with the same id, as a provider does.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from ops.chaos.asking import COMMAND, STOP_WORD, asks_of
from ops.chaos.endpoint import POISON
from ops.chaos.evidence import Post, Said, Sent, Who
from ops.chaos.ledger import Ledger

API_TOKEN = "planted-token-7c1d"
PHONE_PREFIX = "5511987"
TEXT_MARK = "planted text"

ANSWER_LIMIT_S = 10.0
AGAIN_S = 0.1
"""A provider waits longer; here a message that was not taken is sent again soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    How much, from how many. ``per_s`` is an upper limit, in messages of all users.

    ``asks_rate``: how many messages want their window now, half of them alone.
    """

    instances: int = 16
    users_per_instance: int = 200
    per_s: float = 120.0
    writers: int = 48
    burst_max: int = 7
    pause_max_s: float = 0.25
    twice_rate: float = 0.1
    poison_rate: float = 0.001
    asks_rate: float = 0.0

    def users(self) -> list[Who]:
        """Every user; the first instances and users are the busiest."""
        numbers = itertools.count(0)
        return [
            (f"shop-{instance}", f"{PHONE_PREFIX}{next(numbers):06d}")
            for instance in range(self.instances)
            for _ in range(self.users_per_instance)
        ]

    def weights(self) -> list[float]:
        """How often each of ``users`` writes."""
        return [
            1 / ((instance + 1) * (10 + user))
            for instance in range(self.instances)
            for user in range(self.users_per_instance)
        ]


class Sender:
    """
    Sends to the ingest processes, ``urls`` by their names; ``urls`` may change meanwhile.

    ``slowest_s`` is the longest that an answer, of whatever kind, was waited for.
    """

    def __init__(
        self,
        ledger: Ledger,
        session: aiohttp.ClientSession,
        urls: Mapping[str, str],
        chance: random.Random,
    ) -> None:
        self.slowest_s = 0.0
        self._ledger = ledger
        self._session = session
        self._urls = urls
        self._chance = chance

    def ingest_of(self, who: Who) -> str:
        """The ingest that this user's messages go through."""
        names = sorted(self._urls)
        return names[zlib.crc32(who[1].encode()) % len(names)]

    async def say(self, who: Who, text: str = "hello", *, times: int = 1) -> Sent:
        """One message, sent until it is kept or refused, and then again to be sent ``times``."""
        sent = self._ledger.new_message(who)
        sent.asks = asks_of(text)
        body = orjson.dumps(
            {
                "instance": who[0],
                "user": who[1],
                "message_id": sent.message_id,
                "text": f"{TEXT_MARK} {text} {sent.number}",
            }
        )
        post = await self._post(sent, body)
        while post.said is Said.UNKNOWN:
            await asyncio.sleep(AGAIN_S * (0.5 + self._chance.random()))
            post = await self._post(sent, body)
        for _ in range(times - 1):
            await self._post(sent, body)
        return sent

    async def _post(self, sent: Sent, body: bytes) -> Post:
        ingest = self.ingest_of(sent.who)
        began_s = time.monotonic()
        status, answer = 0, None
        try:
            request = self._session.post(
                f"{self._urls[ingest]}/api/v1/messages",
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {API_TOKEN}",
                },
                timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S),
            )
            async with request as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            answer = None
        took_s = time.monotonic() - began_s
        if status:
            self.slowest_s = max(self.slowest_s, took_s)
        post = _judge(ingest, began_s, took_s, status, answer)
        known = {p.entry_id for p in sent.posts if p.entry_id}
        if post.entry_id and known and post.entry_id not in known:
            self._ledger.evidence.mistakes.append(
                f"{sent.message_id} was answered with {post.entry_id} after {sorted(known)}"
            )
        sent.posts.append(post)
        return post


def _judge(ingest: str, began_s: float, took_s: float, status: int, answer: bytes | None) -> Post:
    if status == 202 and answer is not None:
        (kept,) = orjson.loads(answer)["accepted"]
        return Post(
            ingest=ingest,
            began_s=began_s,
            took_s=took_s,
            said=Said.OK,
            status=status,
            entry_id=kept["entry_id"],
            spooled=bool(kept["spooled"]),
        )
    said = Said.REJECTED if 400 <= status < 500 else Said.UNKNOWN
    return Post(ingest=ingest, began_s=began_s, took_s=took_s, said=said, status=status)


class Writers:
    """Keeps ``load.writers`` users writing at a time, until stopped."""

    def __init__(self, sender: Sender, load: Load, chance: random.Random) -> None:
        self._sender = sender
        self._load = load
        self._chance = chance
        self._users = load.users()
        self._cumulative = list(itertools.accumulate(load.weights()))
        self._busy: set[Who] = set()
        self._next_s = 0.0
        self._stopping = asyncio.Event()
        self._task: asyncio.Future[Any] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._next_s = time.monotonic()
        writers = (self._write() for _ in range(self._load.writers))
        self._task = asyncio.ensure_future(asyncio.gather(*writers))

    async def stop(self) -> None:
        """Let each finish its burst."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def abort(self) -> None:
        """End at once: whatever is unanswered stays so."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _write(self) -> None:
        chance, load = self._chance, self._load
        await asyncio.sleep(chance.random())
        while not self._stopping.is_set():
            who = self._pick()
            self._busy.add(who)
            try:
                for _ in range(chance.randint(1, load.burst_max)):
                    await self._pace()
                    times = chance.randint(2, 5) if chance.random() < load.twice_rate else 1
                    await self._sender.say(who, self._word(), times=times)
                    await asyncio.sleep(chance.uniform(0.0, load.pause_max_s))
            finally:
                self._busy.discard(who)

    def _word(self) -> str:
        chance, load = self._chance, self._load
        if chance.random() < load.poison_rate:
            return POISON
        asks = load.asks_rate and chance.random() < load.asks_rate
        return chance.choice((COMMAND, STOP_WORD)) if asks else "hello"

    def _pick(self) -> Who:
        while True:
            (who,) = self._chance.choices(self._users, cum_weights=self._cumulative)
            if who not in self._busy:
                return who

    async def _pace(self) -> None:
        """Not faster than ``per_s``; what could not be sent in time is not made up for."""
        now_s = time.monotonic()
        self._next_s = max(self._next_s + 1 / self._load.per_s, now_s - 0.1)
        await asyncio.sleep(max(0.0, self._next_s - now_s))
