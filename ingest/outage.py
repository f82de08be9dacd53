"""
What becomes of messages while Redis takes none: the policies ``spool`` and ``direct``.

Where a message goes is its partition's ``State``, which begins and ends here (``ingest.away``).

So the messages of a user that come one after the answer to the other are in Redis in their order,
whatever state they met. A process that starts begins SPOOLING if another left something behind,
or if Redis is away: what was accepted before goes first there, too, also if another process
was faster to adopt it.

``direct`` is the same with a ``Bypass`` beside it: what certainly is not in Redis is handled at
once after it was spooled, and Redis, when it is back, is told to remember it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Accepted, Appender
from ingest.away import Away, OneServer, Servers, State
from ingest.bypass import Bypass
from ingest.spool.files import Sealed
from ingest.spool.folder import HeldFolder
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool
from shared.broker_errors import is_outage
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError, NotConnected, StartRefused
from shared.model import Message

PROBE_S = 0.5
"""How often Redis is asked while it is away, with jitter: many processes ask."""

ADOPT_S = 3.0
"""How often a healthy process looks for what others left behind."""

START_S = 2.0
"""How long a starting process waits for Redis before it takes messages without it."""

AHEAD_S = 30.0
"""
How long a process that has started waits for another one to replay what it was too late to adopt.
"""

LEFT_BEHIND = "another process has left messages behind"

CLOSING_MESSAGES = 500
CLOSING_S = 1.0
"""So long may a request wait for the last of the backlog: it was to be answered within two."""

log: FilteringBoundLogger = structlog.get_logger()


class SpoolingAppender:
    """Keeps messages in Redis, or in the spool while Redis takes none."""

    def __init__(
        self,
        redis: Appender,
        spool: Spool,
        replayer: Replayer,
        probe: Callable[[], Awaitable[None]],
        bypass: Bypass | None = None,
        servers: Servers | None = None,
    ) -> None:
        """
        Made inside a running loop. ``probe`` raises an ``InturnError`` for as long as Redis takes
        no writes. ``bypass`` handles messages meanwhile; the replayer must settle with it.
        """
        self.reason = ""
        self._loop = asyncio.get_running_loop()
        self._redis = redis
        self._spool = spool
        self._replayer = replayer
        self._probe = probe
        self._bypass = bypass
        self._away = Away(servers or OneServer())
        self._is_draining = False
        self._drains = 0
        self._ahead: set[Path] = set()
        self._ahead_until_s: float | None = None
        self._began_s = 0.0
        self._replayed = 0
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._trying: dict[asyncio.Task[object], Message] = {}

    @property
    def state(self) -> State:
        """Of what is not ``ONLINE``, if there is any."""
        return self._away.state

    @property
    def keeps(self) -> str | None:
        """What takes messages while Redis does not, in words; None: nothing does."""
        return "messages are kept in the spool" if self._spool.problem is None else None

    async def start(self) -> None:
        """
        Decide the state before the first message.

        Raises:
            StartRefused: Redis is there and not fit.
        """
        await self._adopt()
        self._ahead = self._spool.inherited_by_others()
        if self._ahead and self.state is State.ONLINE:
            self.begin(LEFT_BEHIND)
        if self.state is not State.ONLINE:
            return
        try:
            async with asyncio.timeout(START_S):
                await self._probe()
        except StartRefused:
            raise
        except (InturnError, TimeoutError) as error:
            self.begin(str(error) or "Redis does not answer")

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """
        Keep all messages, in Redis or in the spool. In a cluster they are of one partition.

        Raises:
            BrokerRefused: Redis refuses a message for its own sake.
            SpoolUnavailable: Redis takes none, and the spool cannot, either.
        """
        is_new = True
        while (state := self._away.state_of(messages[0])) is not State.SPOOLING:
            if state is State.CLOSING:
                await self._settled.wait()
                continue
            try:
                return await self._try_redis(messages)
            except (BrokerUnavailable, BrokerRefused) as error:
                if not is_outage(error):
                    raise
                is_new = is_new and _is_certainly_not_written(messages, error)
                if self._away.state_of(messages[0]) is State.ONLINE:
                    self.begin(str(error), messages[0])
        # From the state's check to its place in the spool's queue nothing is awaited.
        drains = self._drains
        await self._spool.put(messages)
        if self._bypass is not None:
            if is_new and drains == self._drains and not self._is_draining:
                self._bypass.take(messages)
            else:  # it may be in Redis, or be on its way there since it was put
                self._bypass.defer(messages)
        return [
            Accepted(message_id=one.message_id, entry_id=None, duplicate=False, spooled=True)
            for one in messages
        ]

    def begin(self, reason: str, met_by: Message | None = None) -> None:
        """Spool what goes to the server of ``met_by`` (None: all), also what is on its way."""
        if self.state is State.ONLINE:
            self._began_s = time.monotonic()
            self._replayed = 0
        self._away.begin(met_by)
        self.reason = (self.reason or reason) if met_by is None else reason
        self._wanted.set()
        log.warning("spool.began", reason=reason)
        for task, message in list(self._trying.items()):
            if self._away.state_of(message) is State.SPOOLING:
                del self._trying[task]
                task.cancel()

    async def keep_draining(self) -> None:
        """
        Replay whenever there is something to replay, until cancelled.

        Raises:
            StartRefused: Redis is there and not fit; what is in the spool stays there.
        """
        while True:
            try:
                await self._wait_for_work()
                await self._drain()
            except StartRefused:
                raise
            except (InturnError, OSError) as error:
                self._is_draining = False
                say = log.warning if isinstance(error, OSError) else log.debug
                say("spool.waits", error=str(error))
                await asyncio.sleep(PROBE_S * (0.7 + 0.6 * random.random()))
            except Exception:
                self._is_draining = False
                log.exception("spool.replay_failed")
                await asyncio.sleep(PROBE_S * (1 + random.random()))

    async def _adopt(self) -> None:
        """Take over what others left: of whatever partition, nothing is kept or handled before."""
        adopted = await self._spool.adopt()
        if adopted and self._bypass is not None:
            for folder, sealed in self._spool.adopted_backlog():
                scan = await asyncio.to_thread(folder.read, sealed)
                self._bypass.defer_records(scan.records)
        if self._spool.adopted_backlog() and not self._away.has_all:
            self.begin(LEFT_BEHIND)

    async def _try_redis(self, messages: Sequence[Message]) -> list[Accepted]:
        """Append, unless ``begin`` cancels it meanwhile: ``asyncio.timeout`` would cost 2 us."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        cancelled_before = task.cancelling()
        self._trying[task] = messages[0]
        try:
            return await self._redis.append(messages)
        except asyncio.CancelledError:
            if task in self._trying or task.uncancel() > cancelled_before:
                raise
            raise BrokerUnavailable("Redis takes no writes") from None
        finally:
            self._trying.pop(task, None)

    async def _wait_for_work(self) -> None:
        """Until there is an outage to end, or something that another process left behind."""
        while self.state is State.ONLINE:
            with suppress(TimeoutError):
                async with asyncio.timeout(ADOPT_S):
                    await self._wanted.wait()
            if self.state is State.ONLINE:
                await self._adopt()

    async def _drain(self) -> None:
        await self._adopt()
        await self._probe()
        self._is_draining = True
        self._drains += 1
        if self._bypass is not None:
            self._bypass.begin_replay()
        # Before anybody is waited for: two that wait for each other would both stand still.
        await self._replay(self._spool.adopted_backlog())
        self._let_others_finish()
        # What came before this round is replayed without haste; what came meanwhile may be little.
        while True:
            await self._spool.seal()
            await self._replay(self._spool.backlog())
            if self._spool.messages <= CLOSING_MESSAGES:
                break
        await self._close()

    def _let_others_finish(self) -> None:
        """
        What another process has inherited may be of users who write to us now: it goes first.

        Raises:
            BrokerUnavailable: it is not in Redis yet, and has not had its time.
        """
        self._ahead = self._spool.still_there(self._ahead)
        if not self._ahead:
            return
        now_s = time.monotonic()
        if self._ahead_until_s is None:
            self._ahead_until_s = now_s + AHEAD_S
        if now_s < self._ahead_until_s:
            raise BrokerUnavailable("another process replays what was left behind")
        log.warning("spool.not_waited", files=len(self._ahead))
        self._ahead = set()

    async def _close(self) -> None:
        """Let new messages wait until nothing is left, then go online."""
        self._settled.clear()
        try:
            with self._away.closing():
                async with asyncio.timeout(CLOSING_S):
                    await self._spool.seal()
                    await self._replay(self._spool.backlog())
        except TimeoutError as error:
            raise BrokerUnavailable("the last of the spool took too long") from error
        finally:
            self._settled.set()
        self._is_draining = False
        if self.state is State.ONLINE:
            self._end_outage()

    def _end_outage(self) -> None:
        self._wanted.clear()
        self.reason = ""
        if self._bypass is not None:
            self._bypass.end_outage()
        took_s = round(time.monotonic() - self._began_s, 3)
        log.info("spool.ended", replayed=self._replayed, took_s=took_s)

    async def _replay(self, backlog: Sequence[tuple[HeldFolder, Sealed]]) -> None:
        for folder, sealed in backlog:
            self._replayed += await self._replayer.replay_file(folder, sealed)
        self._spool.drop_drained()


def _is_certainly_not_written(messages: Sequence[Message], error: Exception) -> bool:
    """Refused, or never sent; of several messages some may have come before the one that failed."""
    return len(messages) == 1 and isinstance(error, BrokerRefused | NotConnected)
