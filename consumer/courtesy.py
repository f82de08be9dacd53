"""
"Typing": while a handler is at work its user is shown that an answer is on its way.

A courtesy: it runs beside the handler and never delays it, its failures are only counted, and it
ends with the attempt. Instances without a channel, and providers that show nothing, cost a look.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import aiohttp

from consumer.sends import Channel
from shared.metrics import ConsumerMetrics
from shared.model import Message, Window
from shared.providers import Address, Provider

CALLS_MAX = 64
"""
At a time, of one worker, and of one instance as many as are left to the others: half, if it is
alone. One slow provider leaves "typing" to everybody else's users. More are left out.
"""

LIMIT_S = 10.0
"""For one call: users see nothing of a slower one in time."""

REPEAT = 0.8
"""Of a provider's ``typing_s``: shown again before it goes out."""

CHANNELS_MAX = 4096
"""Accounts that no setting names are without number; so many answers are kept."""


@dataclass(slots=True, eq=False)
class Typing:
    """One user's "typing", from the handler's call to its end."""

    channel: Channel
    address: Address
    task: asyncio.Task[None] | None = None


class Courtesy:
    """Shows and takes back "typing" for the windows of one worker."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        session: aiohttp.ClientSession,
        channel_of: Callable[[Message], Channel | None],
        metrics: ConsumerMetrics,
    ) -> None:
        self._tasks = tasks
        self._session = session
        self._channel_of = channel_of
        self._metrics = metrics
        self._channels: dict[tuple[str, str | None, str | None], Channel | None] = {}
        self._calls: Counter[str] = Counter()
        """By instance, of those that have any."""

    def begin(self, window: Window) -> Typing | None:
        """Show it until ``end``; None: there is nothing to show."""
        members = window.in_sent_order()
        last = members[-1].message
        channel = self._channel(last)
        if channel is None:
            return None
        address = Address(
            instance=last.instance,
            user=last.user,
            reply_to=last.reply_to,
            message_ids=tuple(entry.message.message_id for entry in members),
        )
        typing = Typing(channel, address)
        typing.task = self._tasks.create_task(self._show(typing), name=f"typing-{window.id}")
        return typing

    def end(self, typing: Typing, *, text_follows: bool) -> None:
        """Show it no more; a text that follows takes it away by itself."""
        assert typing.task is not None
        typing.task.cancel()
        if not text_follows:
            hide = typing.channel.provider.hide_typing
            self._tasks.create_task(self._call(hide, typing), name="typing-ends")

    def take_back(self, channel: Channel, address: Address) -> None:
        """A text that was to end it does not come."""
        if _shows_anything(channel.provider):
            hide = self._call(channel.provider.hide_typing, Typing(channel, address))
            self._tasks.create_task(hide, name="typing-ends")

    def _channel(self, message: Message) -> Channel | None:
        key = (message.instance, message.connection, message.provider)
        try:
            return self._channels[key]
        except KeyError:
            pass
        channel = self._channel_of(message)
        if channel is not None and not _shows_anything(channel.provider):
            channel = None
        if len(self._channels) >= CHANNELS_MAX:
            self._channels.clear()
        self._channels[key] = channel
        return channel

    async def _show(self, typing: Typing) -> None:
        provider = typing.channel.provider
        while True:
            began_s = time.monotonic()
            await self._call(provider.show_typing, typing)
            if not provider.typing_s:
                return
            typing.address = replace(typing.address, typing_shown=True)
            next_s = began_s + REPEAT * provider.typing_s
            await asyncio.sleep(max(next_s - time.monotonic(), 0))

    async def _call(self, what: Callable[..., Awaitable[None]], typing: Typing) -> None:
        channel, instance = typing.channel, typing.address.instance
        if self._calls[instance] >= CALLS_MAX - self._calls.total():
            self._count(channel, "busy")
            return
        self._calls[instance] += 1
        try:
            async with asyncio.timeout(LIMIT_S):
                await what(self._session, channel.settings, typing.address)
        except TimeoutError:
            self._count(channel, "slow")
        except Exception:  # noqa: BLE001 - a provider's fault must not end the worker
            self._count(channel, "failed")
        finally:
            self._calls[instance] -= 1
            if not self._calls[instance]:
                del self._calls[instance]

    def _count(self, channel: Channel, reason: str) -> None:
        self._metrics.typing_failures_total.labels(channel.provider.name, reason).inc()


def _shows_anything(provider: Provider) -> bool:
    return type(provider).show_typing is not Provider.show_typing
