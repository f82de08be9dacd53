"""
Sending: a reply leaves the outbox through its instance's provider, one user's in order.

A send lives by the rules of a window: a record with a token before the provider is called, a
live other worker's is left alone, a dead worker's is ambiguous (it may have been sent) and
follows the instance's policy, and what is done is guarded by the token. A failed send never
makes the handler run again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

import aiohttp
import structlog

from consumer.outbox import Begun, Item, Outbox, OutboxStore, SendCode
from consumer.owner import Owner
from consumer.retry import backoff_ms
from consumer.sends import Channel, Sends
from shared.channel import address_of
from shared.errors import BrokerRefused, BrokerUnavailable, Fenced, NotDurable
from shared.model import EntryId, Token, WorkerId
from shared.probe import Point, reach
from shared.providers import Address, SendRefused, SendResult, SendRetry
from shared.record import SendRecord
from shared.wire import OutboxReply

FINISH_RETRY_S = 0.2
NOT_SENT_DELAY_MS = 200

_DIED = "the worker died while sending"
_UNREADABLE = "the record of its send could not be read"

log = structlog.get_logger()


class PartitionSender:
    """Sends one partition's replies for as long as its lease is ours."""

    def __init__(self, sends: Sends, store: OutboxStore) -> None:
        self.outbox = Outbox()
        self._sends = sends
        self._store = store
        self.now_ms = 0

    async def rebuild(self, epoch: int) -> None:
        """
        Forget the memory and read the whole outbox: part of the takeover.

        Raises:
            Fenced: the lease is not ours under this epoch.
        """
        records, damaged = await self._store.begun()
        for field, value in damaged:
            log.error("record.damaged", partition=self._store.number)
            self._sends.metrics.records_damaged_total.inc()
            await self._store.drop(epoch, field, value)
        outbox = Outbox()
        await self._fill(outbox, records, {field for field, _ in damaged}, fresh=False)
        self.outbox = outbox

    async def count_damaged(self) -> int:
        """Records that cannot be read: a takeover deletes them."""
        return len((await self._store.begun())[1])

    def misses(self, last_reply: bytes) -> bool:
        """Whether the outbox goes on behind what has been read; ``last_reply`` is its last id."""
        last = self.outbox.last
        return bool(last_reply) and (last is None or EntryId.parse(last_reply) > last)

    async def load(self) -> None:
        """Read the replies that have come since."""
        await self._fill(self.outbox, {}, frozenset(), fresh=True)

    async def _fill(
        self,
        outbox: Outbox,
        records: dict[EntryId, SendRecord],
        unsure: Collection[bytes],
        *,
        fresh: bool,
    ) -> None:
        while page := await self._store.page(outbox.last):
            for reply_id, reply in page:
                outbox.last = reply_id
                if reply is None:
                    log.error("reply.undecodable", reply=str(reply_id))
                    continue
                bare = replace(reply, texts=(), message_ids=())
                is_unsure = str(reply_id).encode() in unsure
                outbox.add(Item(reply_id, bare, records.get(reply_id), fresh, is_unsure))

    def dispatch(self, owner: Owner) -> None:
        """Begin what may begin: each user's first unsent reply."""
        self.outbox.wake_backoffs(time.monotonic())
        if not owner.is_trusted():
            return
        for item in self.outbox.take_heads():
            self._judge(owner, item, live=self._sends.membership.live)
        self._expire_kept(owner)

    def _judge(self, owner: Owner, item: Item, live: Collection[WorkerId]) -> None:
        record, sends = item.record, self._sends
        if record is not None and record.held:
            self.outbox.leave(item)
            return
        channel = sends.settings.channel_of(item.reply)
        resends = channel is not None and channel.resend
        if channel is None and record is None:
            self._keep(item)
        elif record is not None and not record.worker and record.delay_ms:
            self.outbox.wait(item, time.monotonic() + record.delay_ms / 1000)
            item.record = replace(record, delay_ms=0)
        elif item.unsure and record is None and not resends:
            self._begin(owner, item, channel, hold=_UNREADABLE)
        elif record is None or not record.worker:
            self._begin(owner, item, channel)
        elif record.token in sends.in_hand:
            self.outbox.wait(item, time.monotonic() + 1.0)
        elif record.worker != sends.worker and record.worker in live:
            self.outbox.foreign[item.id] = item
        elif record.worker != sends.worker and not resends:
            self._begin(owner, item, channel, hold=_DIED)
        else:
            self._begin(owner, item, channel)

    def _keep(self, item: Item) -> None:
        """No channel: the reply stays readable for ``retention_ms``."""
        self.outbox.kept.append(item)
        self.outbox.leave(item)
        if not item.fresh:
            return
        self._sends.metrics.replies_held_total.labels(reason="no_channel").inc()
        reply = item.reply
        self._sends.settings.say(
            "reply.kept", window=reply.window_id, instance=reply.instance, user=reply.user
        )

    def _expire_kept(self, owner: Owner) -> None:
        kept, oldest_ms = self.outbox.kept, self.now_ms - self._sends.settings.retention_ms
        while kept and kept[0].id.ms < oldest_ms:
            item = kept.popleft()
            self._sends.tasks.create_task(self._forget(owner, item), name="expire-reply")

    async def _forget(self, owner: Owner, item: Item) -> None:
        keep_ms = self._sends.settings.retention_ms
        try:
            await self._store.sent(item.id, item.reply, None, "kept", keep_ms)
        except (BrokerUnavailable, BrokerRefused):
            owner.restart("a kept reply was not removed")

    def _begin(self, owner: Owner, item: Item, channel: Channel | None, hold: str = "") -> None:
        sends, record = self._sends, item.record
        conversation = (item.reply.instance, item.reply.user)
        if channel is None:
            hold = hold or "there is no channel any more"
        elif sends.exceeds_loop_limit(conversation):
            hold = hold or "loop limit"
        ours = record is not None and record.worker == sends.worker
        token = record.token if record is not None and ours else sends.new_token(owner.epoch)
        sends.in_hand.add(token)
        if not hold and record is None:
            sends.count_sent(conversation)
        sends.tasks.create_task(
            self._send(owner, owner.epoch, item, token, channel, hold), name=f"send-{item.id}"
        )

    async def _send(
        self,
        owner: Owner,
        epoch: int,
        item: Item,
        token: Token,
        channel: Channel | None,
        hold: str,
    ) -> None:
        sends, joins = self._sends, self._sends.membership.joins
        try:
            async with sends.slots:
                begun, is_covered = await self._record(epoch, item, token)
                attempt, sent, reply = begun.attempt, begun.sent, begun.reply
                if begun.code is not SendCode.SENDING or reply is None:
                    owner.restart(f"send {begun.code.name.lower()}")
                    return
                if joins != sends.membership.joins:
                    # the others have taken us for dead meanwhile, and this reply for theirs
                    await self._leave_unsent(owner, item, token, attempt, sent)
                elif hold or channel is None:
                    await self._hold(item, token, hold, sent)
                elif not is_covered:
                    log.warning("reply.not_durable", window=item.reply.window_id)
                    await self._leave_unsent(owner, item, token, attempt, sent)
                else:
                    await self._send_texts(owner, item, reply, token, channel, attempt, sent)
        except Fenced:
            sends.metrics.fenced_total.labels(call="send").inc()
            if owner.epoch == epoch:
                owner.step_down()
        except (BrokerUnavailable, BrokerRefused):
            owner.restart("send unanswered")
        finally:
            sends.in_hand.discard(token)
            owner.wake()

    async def _record(self, epoch: int, item: Item, token: Token) -> tuple[Begun, bool]:
        """Begin the send in Redis; False: replicas do not have the window's finish yet."""
        replaces = item.record.token if item.record else None
        try:
            return await self._store.send(epoch, item.id, replaces, token), True
        except NotDurable as error:
            if error.answer is None:
                raise
            return error.answer, False

    async def _send_texts(
        self,
        owner: Owner,
        item: Item,
        reply: OutboxReply,
        token: Token,
        channel: Channel,
        attempt: int,
        sent: int,
    ) -> None:
        sends = self._sends
        address = address_of(reply)
        for text in reply.texts[sent:]:
            if not sends.membership.is_trusted(time.monotonic()):
                await self._leave_unsent(owner, item, token, attempt, sent)
                return
            whereto = replace(address, text_id=f"{reply.window_id}:{sent}")
            result = await _send_text(channel, sends.session, whereto, text)
            if isinstance(result, SendRefused):
                sends.metrics.send_failures_total.labels(provider=channel.provider.name).inc()
                await self._hold(item, token, f"refused: {result.error}", sent)
                return
            if isinstance(result, SendRetry):
                sends.metrics.send_failures_total.labels(provider=channel.provider.name).inc()
                rules = sends.settings.retry
                delay_ms = backoff_ms(attempt, rules, random.random())
                if result.after_ms is not None:
                    delay_ms = min(max(result.after_ms, 0), rules.max_ms)
                log.warning("reply.retry", window=reply.window_id, error=result.error)
                await self._give_back(owner, item, token, attempt, delay_ms, sent)
                return
            reach(Point.SEND)
            sent += 1
        await self._persist(
            lambda: self._store.sent(item.id, reply, token, "sent", sends.settings.retention_ms)
        )
        sends.metrics.replies_sent_total.labels(provider=channel.provider.name).inc()
        sends.settings.say(
            "reply.sent",
            window=reply.window_id,
            count=len(reply.texts),
            instance=reply.instance,
            user=reply.user,
        )
        self.outbox.leave(item)

    async def _give_back(
        self,
        owner: Owner,
        item: Item,
        token: Token,
        attempt: int,
        delay_ms: int,
        sent: int,
        *,
        counts: bool = True,
    ) -> None:
        ours = await self._persist(
            lambda: self._store.unsend(item.id, token, delay_ms, sent=sent, counts=counts)
        )
        if not ours:
            owner.restart("unsend refused")
            return
        item.record = SendRecord(
            token=token,
            worker=WorkerId(""),
            attempt=attempt if counts else attempt - 1,
            sent=sent,
            held="",
            retry_at=0,
            delay_ms=0,
        )
        self.outbox.wait(item, time.monotonic() + delay_ms / 1000)

    async def _leave_unsent(
        self, owner: Owner, item: Item, token: Token, attempt: int, sent: int
    ) -> None:
        """The provider was not called: soon again, without counting."""
        await self._give_back(owner, item, token, attempt, NOT_SENT_DELAY_MS, sent, counts=False)

    async def _hold(self, item: Item, token: Token, why: str, sent: int) -> None:
        """Leave the reply in the outbox for a person; the user's next one goes on."""
        await self._persist(lambda: self._store.unsend(item.id, token, 0, held=why, sent=sent))
        self._sends.metrics.replies_held_total.labels(reason=_held_label(why)).inc()
        log.warning("reply.held", window=item.reply.window_id, reason=_held_label(why))
        self.outbox.leave(item)

    async def _persist(self, call: Callable[[], Awaitable[bool]]) -> bool:
        """What was done to the outside is written for as long as the process lives."""
        while True:
            try:
                return await call()
            except (BrokerUnavailable, BrokerRefused):
                await asyncio.sleep(FINISH_RETRY_S * (0.5 + random.random()))

    async def look_at_foreign(self, live: Collection[WorkerId]) -> None:
        """Have the other workers' sends ended, or have their workers died?"""
        foreign = self.outbox.foreign
        if not foreign:
            return
        records = await self._store.sending()
        for reply_id, item in list(foreign.items()):
            record = records.get(reply_id)
            if record is not None and record.worker in live:
                continue
            del foreign[reply_id]
            if record is None:
                self.outbox.leave(item)
            else:
                item.record = replace(record)
                self.outbox.put_back(item)


async def _send_text(
    channel: Channel, session: aiohttp.ClientSession, address: Address, text: str
) -> SendResult:
    try:
        return await channel.provider.send(session, channel.settings, address, text)
    except Exception as error:  # noqa: BLE001 - a provider's fault must not end the worker
        log.warning("provider.failed", provider=channel.provider.name, error=type(error).__name__)
        return SendRetry(error=type(error).__name__)


def _held_label(why: str) -> str:
    if why.startswith("refused"):
        return "refused"
    return {"loop limit": "loop_limit", _DIED: "ambiguous", _UNREADABLE: "ambiguous"}.get(
        why, "no_channel"
    )
