"""
Messaging providers: one file each, with three duties: verify, parse, send.

``verify`` looks at a webhook's raw bytes and headers; ``parse`` turns what it says into messages,
echoes and counts of what is neither; ``send`` carries one text to a user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from msgspec import Struct
from multidict import MultiMapping

from shared.instance_settings import InstanceSettings
from shared.model import Message
from shared.payload import parse_json
from shared.providers.splitting import split_text


class WebhookRequest(Struct, frozen=True, kw_only=True):
    """
    What arrived. Header names compare case-insensitively (a CIMultiDict).

    ``url`` is the address that the provider was told to call, with the path and query of this
    request: from ``PUBLIC_URL``, never from what the request says of itself. None: it is not set.
    """

    method: str = "POST"
    body: bytes
    headers: MultiMapping[str]
    query: MultiMapping[str]
    url: str | None = None


class Recipient(Struct, frozen=True, kw_only=True):
    """
    The instance that a message is for, and what its settings say of reading messages.

    ``connection`` is the one it came through, where the settings do not name the instance.
    ``tenant``: what the provider's ``tenant_setting`` says.
    """

    instance: str
    connection: str | None = None
    store_raw: bool = False
    groups: bool = False
    tenant: str | None = None


class RecipientOf(Protocol):
    """Whose messages for an account are."""

    def __call__(
        self, account: str | None, setting: str | None = None, /, *others: tuple[str | None, str]
    ) -> Recipient | None:
        """
        The recipient; None: the account is another's.

        ``others``: what else the payload names, each an account with its setting. The first that
        somebody has written down counts.
        """
        ...


class ParseOptions(Struct, frozen=True, kw_only=True):
    """
    How to parse: the request itself, limits, the ingest's time in ms, and whose messages are.

    ``recipient_of`` takes the account that the payload names (None: it names none) and, where a
    provider has several sorts of accounts, the setting that holds this sort. None from it: the
    account is another's, and what is for it counts as ``other_account``.
    """

    request: WebhookRequest
    recipient_of: RecipientOf
    received_at: int
    max_age_ms: int
    media_inline_bytes: int


class Echo(Struct, frozen=True, kw_only=True):
    """
    A message of the account itself to a user: ours if we remember having sent
    ``message_id``, else a person's, who answered by hand.
    """

    instance: str
    user: str
    message_id: str


class Parsed(Struct, frozen=True, kw_only=True):
    """A webhook's messages in their order, its echoes, and how much else it held, by kind."""

    messages: tuple[Message, ...] = ()
    echoes: tuple[Echo, ...] = ()
    ignored: dict[str, int] = {}


class PlainAnswer(Struct, frozen=True, kw_only=True):
    """An answer in a provider's own form."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    Where a text goes: the instance, the provider's own address of the user, and the ids of the
    messages that it answers, in the user's order (for read marks). ``typing_shown``: not the first
    ``show_typing`` for them, so that what they are marked with is marked already. ``text_id`` is
    the text's own, the same however often it is tried.
    """

    instance: str
    user: str
    reply_to: str | None
    message_ids: tuple[str, ...] = ()
    typing_shown: bool = False
    text_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The provider took it; ``id`` is what its echo will have as message id, if it said one."""

    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRetry:
    """
    Not taken, may be later (no connection, 429, 5xx). ``unsent``: for certain; else the user may
    have it all the same.
    """

    error: str
    after_ms: int | None = None
    unsent: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRefused:
    """The provider will never take this one (another 4xx). ``error`` names no user, no text."""

    error: str


SendResult = Sent | SendRetry | SendRefused


class Provider(Protocol):
    """
    One messaging provider. Stateless: sessions and settings are handed in.

    What most have in common is here; a provider says what differs.
    """

    name: str

    settings_of_its_own: Mapping[str, str] = {}
    """Its fields of ``InstanceSettings``, with what each is, for errors."""

    needs_to_send: Sequence[str] = ("token",)
    """The fields without which nothing can be sent."""

    needs_one_of: Sequence[str] = ()
    """Fields of which one is needed besides, to send."""

    account_settings: Sequence[str] = ()
    """The fields that hold accounts as payloads name them; the first counts where none is said."""

    tenant_setting: str | None = None
    """The field that holds whose of the provider's customers the accounts are, where ids repeat."""

    ignored_kinds: frozenset[str] = frozenset()
    """Every kind that ``Parsed.ignored`` may count: a closed set, for it is a metric's label."""

    event_suffixes: frozenset[str] = frozenset()
    """What it may append to the configured URL, by event: never an instance's name."""

    has_inline_media: bool = False
    """Whether photos and voice notes stand in its webhooks, as base64: bodies are large."""

    greets: frozenset[str] = frozenset()
    """The methods (GET, OPTIONS) of its handshakes."""

    takes_get: bool = False
    """Whether it may send a message as a GET with everything in the query."""

    signs_url: bool = False
    """Whether it signs the URL that it calls: nothing can be verified without ``PUBLIC_URL``."""

    form: Mapping[str, Any] = {"type": "object"}
    """JSON Schema of the payloads that ``parse`` does not refuse, as /openapi.json shows it."""

    media_type: str = "application/json"
    """What its webhooks' bodies are."""

    greeting_parameters: Sequence[Mapping[str, Any]] = ()
    """What a handshake must carry, as OpenAPI describes parameters."""

    acknowledgement: PlainAnswer | None = None
    """The answer to a webhook whose messages are kept; None: our JSON with the entry ids."""

    messages_max: int = 1000
    """How many messages one webhook may hold; one with more is refused with 413."""

    text_max: int = 4096
    """The longest text that it takes, in UTF-16 units."""

    typing_s: float = 0.0
    """For how long it shows "typing" after one call of ``show_typing``; 0: it cannot."""

    def problems_of(self, settings: InstanceSettings) -> Sequence[str]:
        """What of an instance's settings can never work, for the error at the start."""
        return ()

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Whether one of ``secrets`` vouches for the request; constant-time, never raises."""
        ...

    def greet(self, request: WebhookRequest, settings: InstanceSettings) -> PlainAnswer | None:
        """The answer to a provider's handshake (GET or OPTIONS); None: this is none."""
        return None

    def read(self, request: WebhookRequest) -> Any:
        """
        What the request says, as ``parse`` takes it.

        Raises:
            RequestRefused: 400 or 415.
        """
        return parse_json(request.body)

    def account_of(self, payload: Any) -> str | None:
        """The (first) account that the payload itself names, or None. Never raises."""
        ...

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The messages in a webhook.

        Raises:
            RequestRefused: the payload is not of this provider's form.
        """
        ...

    def has_channel(self, settings: InstanceSettings) -> bool:
        """Whether the instance's settings suffice to send."""
        if self.needs_one_of and not any(getattr(settings, name) for name in self.needs_one_of):
            return False
        return all(getattr(settings, name) for name in self.needs_to_send)

    def split(self, text: str, address: Address) -> Sequence[str]:
        """``text`` as parts that may be sent there; the same ones for the same text, always."""
        return split_text(text, self.text_max)

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text. Every failure is a result, none raises but cancellation."""
        ...

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """
        Show the user that an answer is on its way, and mark what it answers as read.

        A courtesy: failures are nobody's business, and none raises but cancellation.
        """
        return None  # noqa: RET501 - without it the method would count as abstract

    async def hide_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """
        Take "typing" back where no text follows: a text ends it, and so does ``typing_s``.

        A courtesy like ``show_typing``.
        """
        return None  # noqa: RET501
