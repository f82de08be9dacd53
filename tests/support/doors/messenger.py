"""A page in Messenger as the outside sees it: signed batches, and the page's ``messages``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.meta_payloads import (
    PAGE_ID,
    PSID,
    instagram,
    messaging_item,
    messenger,
    messenger_message,
    signature,
)

VERIFY_TOKEN = "planted-verify-token"
PHOTO_URL = "https://media.example.net/photo.jpg"
VOICE_URL = "https://media.example.net/voice.mp4"


def hook(serial: int, **members: Any) -> Hook:
    """A message of ``PSID``, sent just now, with every character escaped as Meta does."""
    item = messenger_message(serial, **members) | {"timestamp": time.time_ns() // 1_000_000}
    body = json.dumps(messenger(item), separators=(",", ":")).encode()
    return Hook(body=body, headers={"Content-Type": "application/json"})


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook(serial, text=said)


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """Over the body as it is, with the app secret."""
    return replace(of, headers={**of.headers, "X-Hub-Signature-256": signature(of.body, secret)})


def attachment(serial: int, kind: str, payload: dict[str, Any]) -> Hook:
    """A message that is a file or a place."""
    return hook(serial, attachments=[{"type": kind, "payload": payload}])


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """With the addresses of the media."""
    hooks = [
        attachment(1, "image", {"url": PHOTO_URL}),
        attachment(2, "audio", {"url": VOICE_URL}),
        attachment(3, "location", {"coordinates": {"lat": 52.5, "long": 13.375}}),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    expected = [
        Expected(kind="image", text="", media={"url": PHOTO_URL}),
        Expected(kind="audio", text="", media={"url": VOICE_URL}),
        Expected(kind="location", text="52.5,13.375"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """Albums, stickers, links, buttons, echoes, receipts, Instagram, ``standby``."""
    picture = {"type": "image", "payload": {"url": PHOTO_URL}}
    sticker = {"type": "sticker", "payload": {"url": PHOTO_URL, "sticker_id": 36}}
    link = {"type": "fallback", "title": "A page", "url": PHOTO_URL}
    echo = {"mid": "m_E1", "text": "by hand", "is_echo": True}
    items = [
        messenger_message(21, attachments=[picture, picture], text="two"),
        messenger_message(22, attachments=[sticker]),
        messenger_message(23, attachments=[link], text=PHOTO_URL),
        messenger_message(24, text="Yes", quick_reply={"payload": "YES"}),
        messenger_message(25, is_deleted=True),
        messenger_message(26, text="nice", reply_to={"story": {"id": "1790"}}),
        messaging_item(27, postback={"title": "Begin", "payload": "BEGIN"}),
        messaging_item(28, read={"watermark": 1}),
        messaging_item(29, reaction={"mid": "m_1", "action": "react", "emoji": "👍"}),
        messaging_item(30, message=echo) | {"sender": {"id": PAGE_ID}, "recipient": {"id": PSID}},
    ]
    standby = {"object": "page", "entry": [{"id": PAGE_ID, "standby": items}]}
    payloads = [*map(messenger, items), messenger(*items), instagram(*items), standby]
    return [Hook(body=json.dumps(payload).encode()) for payload in payloads]


def sent(said: str) -> ApiCall:
    """An answer to the person that wrote to the page."""
    return ApiCall(
        method="POST",
        path=f"/{PAGE_ID}/messages",
        headers={"Authorization": f"Bearer {TOKEN}"},
        body={
            "recipient": {"id": PSID},
            "messaging_type": "RESPONSE",
            "message": {"text": said},
        },
    )


DOOR = Door(
    provider="messenger",
    settings={
        "secret": SECRET,
        "token": TOKEN,
        "verify_token": VERIFY_TOKEN,
        "page_id": PAGE_ID,
    },
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(200, {"recipient_id": PSID, "message_id": "m_SENT0001"}),
    signature="X-Hub-Signature-256",
    others=others,
)
