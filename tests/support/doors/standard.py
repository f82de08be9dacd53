"""Standard Webhooks and CloudEvents as the outside sees them: signed, and a signed answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

from tests.support.doors import INSTANCE, SECRET, TOKEN, ApiCall, Door, Expected, Hook

USER = "guest-1204"
REPLY_TO = "room/1204"
PHOTO = base64.b64encode(bytes(range(256)) * 24).decode()
JSON = {"Content-Type": "application/json"}
CLOUD_EVENT = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
CLOUD_EVENTS = {"Content-Type": "application/cloudevents-batch+json"}


def message(serial: int, **fields: Any) -> dict[str, Any]:
    """A message of ``USER``, as ``POST /api/v1/messages`` has it."""
    return {
        "user": USER,
        "message_id": f"m-{serial}",
        "sent_at": int(time.time() * 1000),
        "name": "Ana",
        "reply_to": REPLY_TO,
    } | fields


def webhook(data: Any, event: str = "message.created") -> Hook:
    """A Standard Webhook around ``data``."""
    envelope = {"type": event, "timestamp": "2026-03-04T05:06:07.891234Z", "data": data}
    return Hook(body=json.dumps(envelope).encode(), headers=JSON)


def cloud_event(data: Any, serial: int, **attributes: Any) -> dict[str, Any]:
    """A CloudEvent in structured mode around ``data``."""
    return {
        "specversion": "1.0",
        "id": f"e-{serial}",
        "source": "/hotel/chat",
        "type": "org.example.hotel.message",
        "time": "2026-03-04T05:06:07Z",
        "datacontenttype": "application/json",
        "data": data,
    } | attributes


def structured(event: dict[str, Any]) -> Hook:
    """A CloudEvent as a request."""
    return Hook(body=json.dumps(event).encode(), headers=CLOUD_EVENT)


def text(said: str, serial: int) -> Hook:
    """A text."""
    return webhook(message(serial, text=said))


def sign(of: Hook, secret: str, now_s: int) -> Hook:
    """The three headers of a Standard Webhook; its id is the same for the same body."""
    webhook_id = f"msg_{hashlib.sha256(of.body).hexdigest()[:24]}"
    signed = f"{webhook_id}.{now_s}.".encode() + of.body
    signature = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    proof = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{signature}",
    }
    return replace(of, headers={**of.headers, **proof})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """Each in another envelope."""
    photo = {"mime": "image/jpeg", "data": PHOTO, "caption": "this one"}
    voice = {"mime": "audio/ogg", "url": "https://files.example.org/7.ogg", "duration_s": 4}
    place = {"kind": "location", "text": "-23.5,-46.625\nCorner café"}
    hooks = [
        webhook(message(1, text="this one", media=photo)),
        Hook(
            body=json.dumps(cloud_event(message(2, media=voice), 2)).encode(), headers=CLOUD_EVENT
        ),
        Hook(body=json.dumps(message(3, **place)).encode(), headers=JSON),
        Hook(
            body=json.dumps([cloud_event(message(4, text="is it open?"), 4)]).encode(),
            headers=CLOUD_EVENTS,
        ),
        text("for two 🙂", 5),
    ]
    expected = [
        Expected(
            kind="image",
            text="this one",
            media={"mime": "image/jpeg", "caption": "this one", "size_bytes": 6144, "data": PHOTO},
        ),
        Expected(
            kind="audio",
            text="",
            media={"mime": "audio/ogg", "url": voice["url"], "duration_s": 4},
        ),
        Expected(kind="location", text="-23.5,-46.625\nCorner café"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """Several in one request, binary mode, groups, echoes, signals, events about other things."""
    several = {"messages": [message(11, text="one"), message(12, text="two")]}
    binary = {
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "e-13",
        "ce-source": "/hotel/caf%C3%A9",
        "ce-type": "org.example.hotel.message",
        "ce-time": "2026-03-04T05:06:07Z",
    }
    encoded = base64.b64encode(json.dumps(message(14, text="packed")).encode()).decode()
    packed = cloud_event(None, 14, data_base64=encoded)
    return [
        webhook(several),
        Hook(body=json.dumps(several).encode(), headers=JSON),
        Hook(body=json.dumps(message(13, text="bare")).encode(), headers=binary),
        structured(packed),
        Hook(body=b"[]", headers=CLOUD_EVENTS),
        webhook(message(15, text="in a group", group="lobby", instance=INSTANCE, quoted="m-1")),
        webhook(message(16, text="from the desk"), "message.sent"),
        webhook(message(17, text="changed"), "message.updated"),
        webhook({"id": "r-1", "name": "Room 1204"}, "room.created"),
        webhook(message(18, kind="hologram")),
    ]


def sent(said: str) -> ApiCall:
    """A signed ``message.reply`` to ``base_url`` itself."""
    return ApiCall(
        method="POST",
        path="/",
        headers={
            "content-type": "application/json",
            "webhook-id": ANY,
            "webhook-timestamp": ANY,
            "webhook-signature": ANY,
        },
        body={
            "type": "message.reply",
            "timestamp": ANY,
            "data": {
                "instance": INSTANCE,
                "user": USER,
                "reply_to": REPLY_TO,
                "text": said,
                "message_id": ANY,
                "answers": ANY,
            },
        },
    )


DOOR = Door(
    provider="standard",
    settings={"secret": SECRET, "token": TOKEN},
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(202, {"message_id": "sent-1"}),
    signature="webhook-signature",
    others=others,
)
