"""
Telegram's Bot API: one ``Update`` per webhook, with one member that says what happened.

Messages in private chats and presses of inline buttons are a user's; in groups too where these are
on. Everything else is counted by kind and acknowledged, for Telegram repeats what is not. No update
names its bot: the webhook's path does. See https://core.telegram.org/bots/api#update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.model import Message
from shared.providers import Address, Parsed, ParseOptions, Provider, SendResult, WebhookRequest
from shared.providers.evidence import is_one_of, only_value
from shared.providers.forms import refusal
from shared.providers.telegram_message import (
    ID_DIGITS_MAX,
    MESSAGE_KINDS,
    NAME,
    id_of,
    read_callback,
    read_message,
)
from shared.providers.telegram_send import send_text, send_typing

SECRET_HEADER = "x-telegram-bot-api-secret-token"

_READERS = {"message": read_message, "callback_query": read_callback}

_IGNORED = {
    "edited_message": "edit",
    "edited_channel_post": "edit",
    "edited_business_message": "edit",
    "deleted_business_messages": "deletion",
    "channel_post": "broadcast",
    "message_reaction": "reaction",
    "message_reaction_count": "reaction",
    "my_chat_member": "membership",
    "chat_member": "membership",
    "chat_join_request": "membership",
    "business_connection": "connection",
    "inline_query": "inline_query",
    "chosen_inline_result": "inline_query",
    "poll": "poll",
    "poll_answer": "poll",
}

_UPDATE_ID: Mapping[str, Any] = {
    "type": ["integer", "string"],
    "pattern": f"^-?[0-9]{{1,{ID_DIGITS_MAX}}}$",
    "minimum": -(2**63) + 1,
    "maximum": 2**63 - 1,
}


class Telegram(Provider):
    """The provider ``telegram``."""

    name = NAME
    form = MappingProxyType(
        {
            "type": "object",
            "anyOf": [
                {"required": ["update_id"], "properties": {"update_id": _UPDATE_ID}},
                *(
                    {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                    for name in ("message", "callback_query")
                ),
            ],
        }
    )
    ignored_kinds = frozenset({*_IGNORED.values(), *MESSAGE_KINDS, "other", "other_account"})
    text_max = 4096
    typing_s = 5.0

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Telegram signs nothing: it repeats the ``secret_token`` that the webhook was set with."""
        offered = only_value(request.headers, SECRET_HEADER)
        return offered is not None and is_one_of([offered], secrets)

    def account_of(self, payload: Any) -> str | None:  # noqa: ARG002 - an update names no bot
        """Always None."""
        return None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The message of one update.

        Raises:
            RequestRefused: 400, it is no update.
        """
        if not isinstance(payload, dict):
            raise refusal("the body must be a JSON object")
        update_id = id_of(payload.get("update_id"))
        members = {name: value for name, value in payload.items() if value is not None}
        members.pop("update_id", None)
        if not update_id and not members.keys() & (_READERS.keys() | _IGNORED.keys()):
            raise refusal("update_id must be a number")
        recipient = options.recipient_of(None)
        if recipient is None:
            return Parsed(ignored={"other_account": 1})
        messages: list[Message] = []
        ignored: dict[str, int] = {}
        for name, value in members.items():
            read: Message | str = _IGNORED.get(name, "other")
            if name in _READERS:
                is_object = isinstance(value, dict)
                reader = _READERS[name]
                read = reader(value, update_id, recipient, options) if is_object else "malformed"
            if isinstance(read, Message):
                messages.append(read)
            else:
                ignored[read] = ignored.get(read, 0) + 1
        return Parsed(messages=tuple(messages), ignored=ignored if members else {"other": 1})

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text with ``sendMessage``. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Answer pressed buttons, and show "typing" for five seconds."""
        await send_typing(session, settings, address)
