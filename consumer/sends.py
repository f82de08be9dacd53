"""What the senders of one worker share: channels, tokens in hand, the number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from consumer.membership import Membership
from consumer.retry import RetryRules
from consumer.slots import SendSlots
from shared.instance_settings import InstanceSettings
from shared.loop_limit import LoopLimit
from shared.metrics import ConsumerMetrics
from shared.model import Token, WorkerId
from shared.providers import Address, Provider
from shared.wire import OutboxReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """How replies of an instance leave."""

    provider: Provider
    settings: InstanceSettings
    resend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """
    The settings' part that sending needs. ``channel_of`` gives None where there is none,
    ``mute_ms_of`` (instance, connection) 0 where no person's message mutes.
    """

    channel_of: Callable[[OutboxReply], Channel | None]
    mute_ms_of: Callable[[str, str | None], int]
    retention_ms: int
    loop_limit: int
    retry: RetryRules
    say: Callable[..., None]


class Sends:
    """What the senders of one worker share: tokens in hand, tasks, the number at a time."""

    def __init__(
        self,
        worker: WorkerId,
        membership: Membership,
        settings: SendSettings,
        metrics: ConsumerMetrics,
        session: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
        take_typing_back: Callable[[Channel, Address], None] | None = None,
    ) -> None:
        """``take_typing_back``: told of a text that does not come; None: nothing is shown."""
        self.worker = worker
        self.membership = membership
        self.settings = settings
        self.metrics = metrics
        self.session = session
        self.tasks = tasks
        self.take_typing_back = take_typing_back
        self.in_hand: set[Token] = set()
        self.slots = SendSlots()
        self.loop_limit = LoopLimit(settings.loop_limit)
        self._serial = 0

    def new_token(self, epoch: int) -> Token:
        """A token that was never used."""
        self._serial += 1
        return Token(f"{self.worker}:{epoch}:send-{self._serial}")


def open_session() -> aiohttp.ClientSession:
    """
    To all providers. It bounds nothing itself: sends and courtesies do, so that one provider's
    stuck connections are no other's.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
