"""
Messenger and Instagram messaging: pages and Instagram accounts, in one form.

``messaging`` holds what users did with the account; ``standby`` what another app is to answer, and
``changes`` what happened on the page. The address of an answer says which of the two it is, for
their texts have different limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, Parsed, ParseOptions, SendResult
from shared.providers.messenger_message import INSTAGRAM, ITEM_KINDS, NAME, read_item
from shared.providers.messenger_send import mark_seen_and_typing, send_text, stop_typing
from shared.providers.meta import Gathered, MetaProvider, count_of, entries_of, name_of, objects_in
from shared.providers.splitting import split_text, utf8_bytes_of
from shared.providers.values import object_of, text_of

_SETTINGS = {"page": "page_id", "instagram": "instagram_id"}
_TEST = "0"
"""The account that the dashboard's test button names."""

INSTAGRAM_MAX_BYTES = 1000

IGNORED_KINDS = ITEM_KINDS | {"standby", "test", "other", "other_account"}
"""Every kind that ``Parsed.ignored`` may count."""


class Messenger(MetaProvider):
    """The provider ``messenger``."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {
            "verify_token": "what Meta's handshake must say, made up by you",
            "page_id": "Meta's id of the Facebook page",
            "instagram_id": "Meta's id of the Instagram account",
        }
    )
    account_settings = ("page_id", "instagram_id")
    ignored_kinds = IGNORED_KINDS
    messages_max = 10_000  # of 1000 updates, each with all the pictures of an album
    text_max = 2000
    typing_s = 20.0

    def account_of(self, payload: Any) -> str | None:
        """The first page or account that the payload is for."""
        entries = object_of(payload).get("entry")
        named = map(_account_of, entries if isinstance(entries, list) else ())
        return next((account for account in named if account), None)

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        Everything in the batch, in its order.

        Raises:
            RequestRefused: 400, the body is not Meta's envelope.
        """
        entries = entries_of(payload)
        gathered = Gathered()
        platform = text_of(payload.get("object", "page"))
        if platform not in _SETTINGS:
            gathered.ignore("other", 1)
            return gathered.parsed()
        for entry in objects_in(entries, gathered):
            _read_entry(entry, platform, options, gathered)
        return gathered.parsed()

    def split(self, text: str, address: Address) -> Sequence[str]:
        """Instagram takes 1000 bytes, Messenger 2000 characters; who is neither, the fewer."""
        if address.reply_to is None or address.reply_to.startswith(INSTAGRAM):
            return split_text(text, INSTAGRAM_MAX_BYTES, utf8_bytes_of)
        return split_text(text, self.text_max)

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Mark the conversation as seen, once, and show "typing"."""
        await mark_seen_and_typing(session, settings, address)

    async def hide_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Take "typing" back."""
        await stop_typing(session, settings, address)


def _account_of(entry: Any) -> str | None:
    return name_of(object_of(entry).get("id"))


def _read_entry(
    entry: dict[str, Any], platform: str, options: ParseOptions, gathered: Gathered
) -> None:
    account = _account_of(entry)
    lists = [entry.get(name) for name in ("messaging", "standby", "changes")]
    counted = max(1, sum(map(count_of, lists)))
    if account == _TEST:
        gathered.ignore("test", counted)
        return
    recipient = options.recipient_of(account, _SETTINGS[platform])
    if recipient is None:
        gathered.ignore("other_account", counted)
        return
    messaging, standby, changes = lists
    for item in objects_in(messaging, gathered):
        for found in read_item(item, account, platform, recipient, options):
            gathered.add(found)
    gathered.ignore("standby", count_of(standby))
    gathered.ignore("other", count_of(changes) or int(messaging is None and standby is None))
