"""Chatwoot as the outside sees it: signed with a timestamp, answered in the conversation."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.chatwoot_payloads import (
    ACCOUNT_ID,
    CONVERSATION_ID,
    FILES,
    attachment,
    contact,
    conversation,
    incoming,
    outgoing,
    repeated,
)
from tests.support.doors import SECRET, TOKEN, ApiCall, Door, Expected, Hook

JSON = {"Content-Type": "application/json"}


def hook(payload: Any) -> Hook:
    """An event."""
    return Hook(body=json.dumps(payload).encode(), headers=JSON)


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook(incoming(said, 1000 + serial))


def sign(of: Hook, secret: str, now_s: int) -> Hook:
    """As versions from 4.11.2 do."""
    digest = hmac.new(secret.encode(), f"{now_s}.".encode() + of.body, hashlib.sha256)
    proof = {
        "X-Chatwoot-Timestamp": str(now_s),
        "X-Chatwoot-Signature": f"sha256={digest.hexdigest()}",
    }
    return replace(of, headers={**of.headers, **proof})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """Files stand as addresses in Chatwoot's storage."""
    photo = attachment("image", "table.jpg")
    voice = attachment("audio", "voice.ogg", file_size=4004)
    place = attachment(
        "location", coordinates_lat=-23.5, coordinates_long=-46.625, fallback_title="Corner café"
    )
    hooks = [
        hook(incoming("this one", 1001, attachments=[photo])),
        hook(incoming(None, 1002, attachments=[voice])),
        hook(incoming(None, 1003, attachments=[place])),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    expected = [
        Expected(
            kind="image",
            text="this one",
            media={"url": f"{FILES}/table.jpg", "caption": "this one", "size_bytes": 6144},
        ),
        Expected(kind="audio", text="", media={"url": f"{FILES}/voice.ogg", "size_bytes": 4004}),
        Expected(kind="location", text="-23.5,-46.625\nCorner café"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """Messages with less or more in them, agents' and bots', and everything that is none."""
    card = attachment("contact", fallback_title="+4930123", meta={"firstName": "Ben"})
    link = attachment("fallback", fallback_title="Our menu", data_url="https://example.org/menu")
    reduced = {
        "event": "message_created",
        "message_type": "incoming",
        "content": None,
        "conversation": {"id": CONVERSATION_ID},
        "sender": {"identifier": "4915550001234@s.whatsapp.net"},
        "attachments": [attachment("audio", "voice.ogg")],
    }
    group = conversation(contact_inbox={"source_id": "120363000000000001@g.us"})
    state = {**conversation(messages=[repeated()]), "changed_attributes": None}
    payloads: list[Any] = [
        incoming(conversation=conversation(messages=[repeated()], status="open")),
        incoming(content_attributes={"in_reply_to": 990, "in_reply_to_external_id": "wamid.Q"}),
        incoming("two", 1002, attachments=[attachment("file", "a.pdf"), card, link]),
        incoming("hi", 1003, created_at=1_760_000_000, sender=contact(identifier="1@lid")),
        incoming("all of you", conversation=group),
        reduced,
        outgoing(),
        outgoing(private=True),
        outgoing(sender={"id": 3, "name": "Bot", "type": "agent_bot"}),
        outgoing(sender=None, content_attributes={"external_echo": True}),
        incoming("<p>Your address?</p>", message_type="template", sender=None),
        incoming("Ben joined", message_type=2),
        incoming(event="message_updated", content_attributes={"deleted": True}),
        {**state, "event": "conversation_created"},
        {**state, "event": "conversation_status_changed"},
        {"event": "conversation_typing_on", "conversation": {"id": "31"}, "is_private": True},
        {**contact(), "event": "contact_updated", "changed_attributes": []},
        {"event": "webwidget_triggered", "inbox": {"id": 41}, "current_conversation": None},
    ]
    return [hook(payload) for payload in payloads]


def sent(said: str) -> ApiCall:
    """A message of the bot in the person's conversation."""
    return ApiCall(
        method="POST",
        path=f"/api/v1/accounts/{ACCOUNT_ID}/conversations/{CONVERSATION_ID}/messages",
        headers={"api_access_token": TOKEN},
        body={"content": said, "message_type": "outgoing", "private": False},
    )


DOOR = Door(
    provider="chatwoot",
    settings={"secret": SECRET, "token": TOKEN, "account_id": str(ACCOUNT_ID)},
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(200, {"id": 2002, "content": "hello", "message_type": 1, "private": False}),
    signature="X-Chatwoot-Signature",
    others=others,
)
