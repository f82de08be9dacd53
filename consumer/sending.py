"""
One send of one reply: begun in Redis, then its texts go to the provider, part by part.

A text that is too long for the provider leaves in parts. What a record counts are whole texts, and
the parts of the text behind them: so a record of a version that knew no parts says the same, and
a version that cuts elsewhere can at most double or cut short the one text that was on its way.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

import aiohttp
import structlog

from consumer.outbox import NOTHING_SENT, Begun, OutboxStore, Progress, SendCode, Watched
from consumer.owner import Owner
from consumer.replies import Item, Outbox
from consumer.retry import backoff_ms
from consumer.sends import Channel, Sends
from shared.channel import address_of, text_id
from shared.errors import BrokerRefused, BrokerUnavailable, Fenced, NotDurable
from shared.model import Token, WorkerId
from shared.probe import Point, reach
from shared.providers import Address, Provider, SendRefused, SendResult, SendRetry, Sent
from shared.record import REFUSED, SendRecord, kind_on_a_line
from shared.wire import OutboxReply

FINISH_RETRY_S = 0.2
NOT_SENT_DELAY_MS = 200

DIED = "the worker died while sending"
UNREADABLE = "the record of its send could not be read"
LOOP_LIMIT = "loop limit"
NO_CHANNEL = "there is no channel any more"

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Sending:
    """
    A send under a token that is in hand already; ``hold``: why the provider is not to be called.

    ``outbox`` is the memory of the partition's owner, as it is by then; ``noted`` the progress that
    the record tells. ``sent_ids`` are those of what has left; ``unsure``: more may have left.
    """

    sends: Sends
    store: OutboxStore
    outbox: Callable[[], Outbox]
    owner: Owner
    item: Item
    token: Token
    channel: Channel | None
    hold: str
    attempt: int = 0
    progress: Progress = NOTHING_SENT
    noted: Progress = NOTHING_SENT
    mute_ms: int = 0
    sent_ids: list[str] = field(default_factory=list)
    unsure: bool = False

    async def run(self, epoch: int) -> None:
        """
        Send the reply, or write down why not.

        After a crash the record says whose send it was; the next owner follows the instance's
        policy.
        """
        sends, owner, joins = self.sends, self.owner, self.sends.membership.joins
        try:
            async with sends.slots.of(self.item.reply.instance):
                begun, is_covered = await self._record(epoch)
                self.attempt = begun.attempt
                self.progress = self.noted = begun.progress
                if begun.code is SendCode.GONE:
                    self.outbox().leave(self.item)  # discarded
                elif begun.code is not SendCode.SENDING or begun.reply is None:
                    owner.restart(f"send {begun.code.name.lower()}")
                elif joins != sends.membership.joins:
                    # the others have taken us for dead meanwhile, and this reply for theirs
                    await self._leave_unsent()
                elif self.hold or self.channel is None:
                    self._take_typing_back(address_of(begun.reply))
                    await self._hold(self.hold)
                elif not is_covered:
                    log.warning("reply.not_durable", window=self.item.reply.window_id)
                    await self._leave_unsent()
                else:
                    await self._send_texts(begun.reply, self.channel)
        except Fenced:
            sends.metrics.fenced_total.labels(call="send").inc()
            if owner.epoch == epoch:
                owner.step_down()
        except (BrokerUnavailable, BrokerRefused):
            owner.restart("send unanswered")
        finally:
            sends.in_hand.discard(self.token)
            owner.wake()

    async def _record(self, epoch: int) -> tuple[Begun, bool]:
        """Begin the send in Redis; False: replicas do not have the window's finish yet."""
        item, reply = self.item, self.item.reply
        replaces = item.record.token if item.record else None
        self.mute_ms = self.sends.settings.mute_ms_of(reply.instance, reply.connection)
        watched = Watched((reply.instance, reply.user), self.mute_ms) if self.mute_ms else None
        try:
            return await self.store.send(epoch, item.id, replaces, self.token, watched), True
        except NotDurable as error:
            if error.answer is None:
                raise
            return error.answer, False

    async def _send_texts(self, reply: OutboxReply, channel: Channel) -> None:
        sends = self.sends
        address = address_of(reply)
        reach(Point.SENDING)
        for part, at, behind_it in left_of(reply, self.progress, channel.provider, address):
            if not await self._note_progress():
                await self._note_sent()
                self.owner.restart("advance refused")
                return
            if not sends.membership.is_trusted(time.monotonic()):
                await self._leave_unsent()
                return
            own_id = text_id(reply.window_id, len(reply.texts) - at.texts, at.parts)
            whereto = replace(address, text_id=own_id)
            result = await send_text(channel, sends.session, whereto, part)
            if not isinstance(result, Sent):
                self._take_typing_back(address)
            if isinstance(result, SendRefused):
                sends.metrics.send_failures_total.labels(provider=channel.provider.name).inc()
                await self._hold(f"{REFUSED}{result.error}")
                return
            if isinstance(result, SendRetry):
                self.unsure |= not result.unsent
                sends.metrics.send_failures_total.labels(provider=channel.provider.name).inc()
                log.warning("reply.retry", window=reply.window_id, error=result.error)
                await self._give_back(self._delay_ms(result), error=result.error)
                return
            reach(Point.SEND)
            self.progress = behind_it
            if result.id is None:
                self.unsure = True
            else:
                self.sent_ids.append(result.id)
        await self._leave_as_sent(reply, channel)

    async def _note_progress(self) -> bool:
        """
        Between two parts: after a crash only the one on its way may be sent again.

        False: it is another's to send. What Redis does not take down now, the end will.
        """
        if self.progress == self.noted:
            return True
        try:
            ours = await self.store.advance(self.item.id, self.token, self.progress)
        except (BrokerUnavailable, BrokerRefused):
            return True
        self.noted = self.progress
        return ours

    def _take_typing_back(self, address: Address) -> None:
        """
        No text ends what was shown while the handler was at work: nobody types any more.

        Once, while it is still shown: the first attempt follows the handler at once.
        """
        sends, is_first = self.sends, self.attempt == 1 and self.progress == NOTHING_SENT
        if is_first and self.channel is not None and sends.take_typing_back is not None:
            sends.take_typing_back(self.channel, address)

    def _delay_ms(self, result: SendRetry) -> int:
        rules = self.sends.settings.retry
        if result.after_ms is not None:
            return min(max(result.after_ms, 0), rules.max_ms)
        return backoff_ms(self.attempt, rules, random.random())

    async def _leave_as_sent(self, reply: OutboxReply, channel: Channel) -> None:
        keep_ms = self.sends.settings.retention_ms
        await self._note_sent()
        await _persist(lambda: self.store.sent(self.item.id, reply, self.token, "sent", keep_ms))
        self.sends.metrics.replies_sent_total.labels(provider=channel.provider.name).inc()
        self.sends.settings.say(
            "reply.sent",
            window=reply.window_id,
            count=len(reply.texts),
            instance=reply.instance,
            user=reply.user,
        )
        self.outbox().leave(self.item)

    async def _give_back(self, delay_ms: int, *, counts: bool = True, error: str = "") -> None:
        progress = self.progress
        await self._note_sent()
        ours = await _persist(
            lambda: self.store.unsend(
                self.item.id, self.token, delay_ms, progress=progress, counts=counts, error=error
            )
        )
        if not ours:
            self.owner.restart("unsend refused")
            return
        self.item.record = self._record_of_nobody(counts=counts)
        self.outbox().wait(self.item, time.monotonic() + delay_ms / 1000)

    def _record_of_nobody(self, *, counts: bool = True, held: str = "") -> SendRecord:
        return SendRecord(
            token=self.token,
            worker=WorkerId(""),
            attempt=self.attempt if counts else self.attempt - 1,
            sent=self.progress.texts,
            parts=self.progress.parts,
            held=held,
            retry_at=0,
            delay_ms=0,
        )

    async def _leave_unsent(self) -> None:
        """The provider was not called: soon again, without counting."""
        await self._give_back(NOT_SENT_DELAY_MS, counts=False)

    async def _hold(self, why: str) -> None:
        """Leave the reply in the outbox for a person; the user's next one goes on."""
        await self._note_sent()
        await _persist(
            lambda: self.store.unsend(self.item.id, self.token, 0, held=why, progress=self.progress)
        )
        reason = _held_label(why)
        self.sends.metrics.replies_held_total.labels(reason=reason).inc()
        about = {"instance": self.item.reply.instance, "window": self.item.reply.window_id}
        error = kind_on_a_line(why.removeprefix(REFUSED))
        log.warning("reply.held", **about, reason=reason, error=error)
        self.item.record = self._record_of_nobody(held=why)
        self.outbox().hold(self.item)

    async def _note_sent(self) -> None:
        """
        Before the end is recorded: a crash in between sends again, and takes no echo for a
        person's.
        """
        if not self.sent_ids and not self.mute_ms:
            return
        reply, ids = self.item.reply, self.sent_ids
        whose = (reply.instance, reply.user)
        await _persist(
            lambda: self.store.note_sent(whose, self.token, ids, self.mute_ms, unsure=self.unsure)
        )


def left_of(
    reply: OutboxReply, progress: Progress, provider: Provider, address: Address
) -> Iterator[tuple[str, Progress, Progress]]:
    """The parts that have not left, in order, each with the progress before and behind it."""
    done = progress.parts
    for texts, text in enumerate(reply.texts):
        if texts < progress.texts:
            continue
        parts = provider.split(text, address)
        for at in range(min(done, len(parts)), len(parts)):
            is_last = at + 1 == len(parts)
            behind_it = Progress(texts + 1, 0) if is_last else Progress(texts, at + 1)
            yield parts[at], Progress(texts, at), behind_it
        done = 0


async def send_text(
    channel: Channel, session: aiohttp.ClientSession, address: Address, text: str
) -> SendResult:
    """One call of the provider; whatever it raises is a failure that may pass."""
    try:
        return await channel.provider.send(session, channel.settings, address, text)
    except Exception as error:  # noqa: BLE001 - a provider's fault must not end the worker
        log.warning("provider.failed", provider=channel.provider.name, error=type(error).__name__)
        return SendRetry(error=type(error).__name__)


async def _persist(call: Callable[[], Awaitable[bool]]) -> bool:
    """What was done to the outside is written for as long as the process lives."""
    while True:
        try:
            return await call()
        except (BrokerUnavailable, BrokerRefused):
            await asyncio.sleep(FINISH_RETRY_S * (0.5 + random.random()))


def _held_label(why: str) -> str:
    if why.startswith(REFUSED):
        return "refused"
    return {LOOP_LIMIT: "loop_limit", DIED: "ambiguous", UNREADABLE: "ambiguous"}.get(
        why, "no_channel"
    )
