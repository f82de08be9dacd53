"""
Messaging providers: one file each, with three duties: verify, parse, send.

``verify`` looks at a webhook's raw bytes and headers; ``parse`` turns its JSON into messages and
counts what is not a message; ``send`` carries one text to a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from msgspec import Struct
from multidict import MultiMapping

from shared.model import Message
from shared.settings import InstanceSettings


class WebhookRequest(Struct, frozen=True, kw_only=True):
    """What a verifier may look at. Header names compare case-insensitively (a CIMultiDict)."""

    body: bytes
    headers: MultiMapping[str]


class ParseOptions(Struct, frozen=True, kw_only=True):
    """How to parse: the path's instance (or None), limits, the ingest's time in ms."""

    path_instance: str | None
    received_at: int
    max_age_ms: int
    media_inline_bytes: int
    store_raw: bool


class Parsed(Struct, frozen=True, kw_only=True):
    """A webhook's messages in their order, and how many other things it held, by kind."""

    messages: tuple[Message, ...] = ()
    ignored: dict[str, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a text goes: the instance, and the provider's own address of the user."""

    instance: str
    user: str
    reply_to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The provider took it; ``id`` is its id for the sent message, when it said one."""

    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRetry:
    """Not taken, may be later (no connection, 429, 5xx)."""

    error: str
    after_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRefused:
    """The provider will never take this one (another 4xx)."""

    error: str


SendResult = Sent | SendRetry | SendRefused


class Provider(Protocol):
    """One messaging provider. Stateless: sessions and settings are handed in."""

    name: str

    event_suffixes: frozenset[str]
    """What it may append to the configured URL, by event: never an instance's name."""

    has_inline_media: bool
    """Whether photos and voice notes stand in its webhooks, as base64: bodies are large."""

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Whether one of ``secrets`` vouches for the request; constant-time, never raises."""
        ...

    def instance_of(self, payload: Any) -> str | None:
        """The account that the payload itself names, or None."""
        ...

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The messages in a webhook's JSON.

        Raises:
            RequestRefused: the payload is not of this provider's form.
        """
        ...

    def has_channel(self, settings: InstanceSettings) -> bool:
        """Whether the instance's settings suffice to send."""
        ...

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text. Every failure is a result, none raises but cancellation."""
        ...
