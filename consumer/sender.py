"""
Sending: a reply leaves the outbox through its instance's provider, one user's in order.

A send lives by the rules of a window: a record with a token before the provider is called, a
live other worker's is left alone, a dead worker's is ambiguous (it may have been sent) and
follows the instance's policy, and what is done is guarded by the token. A failed send never
makes the handler run again.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

import structlog

from consumer.outbox import OutboxStore
from consumer.owner import Owner
from consumer.replies import HELD_CHECK_S, Item, Outbox
from consumer.sending import DIED, LOOP_LIMIT, NO_CHANNEL, UNREADABLE, Sending
from consumer.sends import Channel, Sends
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.model import EntryId, WorkerId
from shared.record import SendRecord

log = structlog.get_logger()


class PartitionSender:
    """Sends one partition's replies for as long as its lease is ours."""

    def __init__(self, sends: Sends, store: OutboxStore) -> None:
        self.outbox = Outbox()
        self._sends = sends
        self._store = store
        self.now_ms = 0
        self._held_look_s = 0.0

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
                bare = replace(reply, texts=(), message_ids=(), metadata={})
                is_unsure = str(reply_id).encode() in unsure
                outbox.add(Item(reply_id, bare, records.get(reply_id), fresh, is_unsure))

    def dispatch(self, owner: Owner) -> None:
        """Begin what may begin: each user's first unsent reply."""
        self.outbox.wake_backoffs(time.monotonic())
        if not owner.is_trusted():
            return
        while heads := self.outbox.take_heads():  # one that is held or kept brings the next one up
            for item in heads:
                self._judge(owner, item, live=self._sends.membership.live)
        self._expire_kept(owner)
        self._look_at_held(owner)

    def _judge(self, owner: Owner, item: Item, live: Collection[WorkerId]) -> None:
        record, sends = item.record, self._sends
        if record is not None and record.held:
            self.outbox.hold(item)
            return
        channel = sends.settings.channel_of(item.reply)
        resends = channel is not None and channel.resend
        if channel is None and record is None:
            self._keep(item)
        elif record is not None and not record.worker and record.delay_ms:
            self.outbox.wait(item, time.monotonic() + record.delay_ms / 1000)
            item.record = replace(record, delay_ms=0)
        elif item.unsure and record is None and not resends:
            self._begin(owner, item, channel, hold=UNREADABLE)
        elif record is None or not record.worker:
            self._begin(owner, item, channel)
        elif record.token in sends.in_hand:
            self.outbox.wait(item, time.monotonic() + 1.0)
        elif record.worker != sends.worker and record.worker in live:
            self.outbox.foreign[item.id] = item
        elif record.worker != sends.worker and not resends:
            self._begin(owner, item, channel, hold=DIED)
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
            reply = await self._store.whole(item.id) or item.reply
            await self._store.sent(item.id, reply, None, "kept", keep_ms)
        except (BrokerUnavailable, BrokerRefused):
            owner.restart("a kept reply was not removed")

    def _begin(self, owner: Owner, item: Item, channel: Channel | None, hold: str = "") -> None:
        sends, record = self._sends, item.record
        conversation = (item.reply.instance, item.reply.user)
        if channel is None:
            hold = hold or NO_CHANNEL
        elif sends.loop_limit.is_reached(conversation):
            hold = hold or LOOP_LIMIT
        ours = record is not None and record.worker == sends.worker
        token = record.token if record is not None and ours else sends.new_token(owner.epoch)
        sends.in_hand.add(token)
        if not hold and record is None:
            sends.loop_limit.count(conversation)
        sending = Sending(
            sends, self._store, lambda: self.outbox, owner, item, token, channel, hold
        )
        sends.tasks.create_task(sending.run(owner.epoch), name=f"send-{item.id}")

    def ring(self, instance: str | None) -> None:
        """A bell rang, for no instance: a person may have decided about replies that are held."""
        if instance is None:
            self._held_look_s = 0.0

    def _look_at_held(self, owner: Owner) -> None:
        now_s = time.monotonic()
        if self.outbox.held and self._held_look_s <= now_s:
            self._held_look_s = now_s + HELD_CHECK_S
            self._sends.tasks.create_task(self._take_decisions(owner), name="look-at-held")

    async def _take_decisions(self, owner: Owner) -> None:
        """Bring up the held replies that are to be sent, and forget those that are discarded."""
        outbox = self.outbox
        held = sorted(outbox.held)  # not as they were held: a user's oldest goes first
        try:
            records = await self._store.records(held)
        except (BrokerUnavailable, BrokerRefused):
            return  # the next look, or the takeover after an outage, finds out
        for reply_id, record in zip(held, records, strict=True):
            item = outbox.held.get(reply_id)
            if item is None:
                continue
            if record is None:
                del outbox.held[reply_id]
            elif not record.held:
                item.record = record
                outbox.release(item)
                owner.wake()

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
