"""
The policy ``direct``: a message is handled at once, though Redis is away, as one window.

It is in the spool before it is answered 2xx, and its outcome follows it there; Redis is then only
told to remember it. What fails here (one attempt, no retries), or has no outcome because the
process died, is appended and handled as usual, and so may be handled again, under another window
id: this is a degraded service.

A user's order is kept: after a message that was not handled here the user's later ones are not,
either, until Redis is back; nor are those of a paused instance. Those that Redis had before the
outage are not known here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import structlog
from structlog.typing import FilteringBoundLogger

from ingest.direct_replies import DirectReplies
from ingest.spool.payload import Became, MessageKey, Outcome, Spooled, decode_record, key_of
from ingest.spool.record import Record
from ingest.spool.spool import Spool
from shared.errors import EntryUndecodable, SpoolUnavailable
from shared.handlers import Call
from shared.handlers.chosen import Handlers
from shared.handlers.unread import count_unread
from shared.metrics import IngestMetrics
from shared.model import (
    ClosedBy,
    Conversation,
    Entry,
    EntryId,
    Message,
    Reply,
    Result,
    Silence,
    Window,
    window_id,
)
from shared.settings import Settings
from shared.wire import OutboxReply

WAITING_MAX = 10_000
"""Messages that wait for a handler's slot here; more are left to the spool."""

SEQUENCE = 900_000_000
"""Of the ids that stand for entries: no stream counts so far within a millisecond."""

END_S = 2.0
"""How long the end of the process waits for calls in hand."""

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Job:
    """A message that is to be handled, or is in a handler's hand once it has ``begun``."""

    message: Message
    begun: bool = False
    dropped: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Bypass:
    """Handles messages beside Redis: each user's in order, all of them within the slots."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        metrics: IngestMetrics,
        session: aiohttp.ClientSession,
        now_ms: Callable[[], int],
        is_paused: Callable[[Message], bool],
    ) -> None:
        """
        Made inside a running loop; ``close`` ends it.

        Raises:
            StartRefused: a handler cannot be made.
        """
        self._spool = spool
        self._metrics = metrics
        self._replies = DirectReplies(settings, metrics, session)
        self._now_ms = now_ms
        self._is_paused = is_paused
        self._handlers = Handlers(settings)
        self._slots = asyncio.Semaphore(settings.handler_concurrency)
        self._places: dict[object, asyncio.Semaphore] = {}
        self._jobs: dict[MessageKey, _Job] = {}
        self._queues: dict[Conversation, deque[_Job]] = {}
        self._deferred: set[Conversation] = set()
        self._serial = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Result]] = set()

    def take(self, messages: Iterable[Message]) -> None:
        """Handle messages that are in the spool and certainly not in Redis."""
        for message in messages:
            key, conversation = key_of(message), (message.instance, message.user)
            if key in self._jobs or key in self._spool.outcomes:
                continue  # sent twice by its provider
            if conversation in self._deferred or len(self._jobs) >= WAITING_MAX:
                self._deferred.add(conversation)
                continue
            self._jobs[key] = job = _Job(message)
            queue = self._queues.get(conversation)
            if queue is not None:
                queue.append(job)
                continue
            self._queues[conversation] = deque([job])
            task = asyncio.create_task(self._work(conversation), name="bypass")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def defer(self, messages: Iterable[Message]) -> None:
        """Leave messages to the spool, and with them what their users write after them."""
        self._deferred.update((one.instance, one.user) for one in messages)

    def defer_records(self, records: Sequence[Record]) -> None:
        """The same for what another process has left behind and not handled."""
        for record in records:
            try:
                found = decode_record(record.payload)
            except EntryUndecodable:
                continue
            if isinstance(found, Spooled) and key_of(found.message) not in self._spool.outcomes:
                self.defer([found.message])

    def begin_replay(self) -> None:
        """Redis is back: what was not begun is appended, so that nothing waits for it here."""
        for job in self._jobs.values():
            job.dropped = True

    def end_outage(self) -> None:
        """Everything is in Redis: the next outage begins anew."""
        self._deferred.clear()
        self._spool.outcomes.clear()
        if not self._jobs:
            self._places.clear()

    async def settle(self, message: Message) -> Outcome | None:
        """
        What became of a message, now that its turn in the replay has come; None: append it.

        Waits for a call in hand, which is bounded by its handler's time; what was not begun will
        not be.
        """
        job = self._jobs.get(key_of(message))
        if job is not None:
            job.dropped = True
            if job.begun:
                await job.over.wait()
        return self._spool.outcomes.get(key_of(message))

    async def close(self) -> None:
        """Wait a little for what is in hand; what is cut off is handled again."""
        self.begin_replay()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._handlers.close()

    async def _work(self, conversation: Conversation) -> None:
        """One user's messages, one after the other."""
        queue = self._queues[conversation]
        try:
            while queue:
                async with AsyncExitStack() as stack:
                    for place in self._places_for(queue[0].message):
                        await stack.enter_async_context(place)
                    await self._work_off(conversation, queue.popleft())
        finally:
            for job in queue:
                self._leave(job)
            del self._queues[conversation]

    def _places_for(self, message: Message) -> Iterator[asyncio.Semaphore]:
        """Its instance's, its function's threads, then a slot: who waits for one takes no next."""
        whose = message.instance, message.connection
        limit, pool = self._handlers.concurrency(*whose), self._handlers.pool(*whose)
        bounds = [] if limit is None else [(message.instance, limit)]
        for of, count in bounds if pool is None else [*bounds, pool]:
            yield self._places.setdefault(of, asyncio.Semaphore(count))
        yield self._slots

    async def _work_off(self, conversation: Conversation, job: _Job) -> None:
        try:
            is_left = job.dropped or self._is_paused(job.message)
            if is_left or conversation in self._deferred:
                self._deferred.add(conversation)
                return
            job.begun = True
            outcome = await self._handle(job.message)
            if outcome is None or outcome.became is Became.ANSWERED:
                # Its handling, or the rest of its reply, comes later: so must what follows it.
                self._deferred.add(conversation)
            self._metrics.direct_handled_total.labels(
                outcome="failed" if outcome is None else outcome.became.value
            ).inc()
            if outcome is not None:
                await self._keep(outcome)
        except Exception:
            self._deferred.add(conversation)
            log.exception("bypass.failed")
        finally:
            self._leave(job)

    def _leave(self, job: _Job) -> None:
        self._jobs.pop(key_of(job.message), None)
        job.over.set()

    async def _keep(self, outcome: Outcome) -> None:
        try:
            await self._spool.put_outcome(outcome)
        except SpoolUnavailable as error:
            log.warning("bypass.not_kept", error=str(error))

    async def _handle(self, message: Message) -> Outcome | None:
        """One attempt; None: it failed, and the message is to be handled as usual."""
        window = self._window_of(message)
        entry_id = window.entries[0].id
        result = Silence() if message.with_human else await self._call(window)
        count_unread(result, window, self._metrics.answers_without_reply_total)
        if isinstance(result, Reply) and result.texts:
            left = await self._replies.send(_reply_to(window, result))
            return Outcome(
                key=key_of(message),
                entry_id=entry_id,
                became=Became.SENT if left.reply is None else Became.ANSWERED,
                reply=left.reply,
                sent_ids=left.sent_ids,
            )
        if isinstance(result, Reply | Silence):
            return Outcome(key=key_of(message), entry_id=entry_id, became=Became.SILENT)
        return None

    def _window_of(self, message: Message) -> Window:
        now_ms = self._now_ms()
        entry_id = EntryId(now_ms, SEQUENCE + next(self._serial) % (SEQUENCE // 10))
        return Window(
            id=window_id(message.instance, message.user, entry_id),
            instance=message.instance,
            user=message.user,
            entries=(Entry(id=entry_id, message=message),),
            closed_by=ClosedBy.BYPASS,
            opened_at=now_ms,
            closed_at=now_ms,
        )

    async def _call(self, window: Window) -> Result | None:
        """
        The handler's result; None when there is none within its time, or it raised.

        The call is a task of its own: one that ignores its cancellation is waited for by nobody.
        """
        connection = window.entries[0].message.connection
        handler = self._handlers.handler(window.instance, connection)
        timeout_s = self._handlers.timeout_ms(window.instance, connection) / 1000
        answer = handler.answer(Call(window=window, attempt=1))
        call = asyncio.create_task(answer, name=f"call-{window.id}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(call)
        except TimeoutError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failure
            log.warning("handler.failed", window=window.id, error=type(error).__name__)
            return None
        finally:
            call.cancel()


def _reply_to(window: Window, reply: Reply) -> OutboxReply:
    message = window.entries[0].message
    return OutboxReply(
        window_id=window.id,
        instance=window.instance,
        user=window.user,
        texts=reply.texts,
        metadata=reply.metadata,
        provider=message.provider,
        reply_to=message.reply_to,
        message_ids=(message.message_id,),
        connection=message.connection,
    )
