"""A page in Messenger as the outside sees it: signed batches, and the page's ``messages``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.meta_payloads import PAGE_ID, PSID, messenger, messenger_message, signature

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
)
