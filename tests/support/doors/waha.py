"""WAHA as the outside sees it: an HMAC over the body, ``sendText`` for the answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import INSTANCE, SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.waha_payloads import (
    CHAT,
    GROUP,
    LID,
    event,
    gows,
    media,
    noweb,
    own_payload,
    payload,
    whole_id,
)

JSON = {"Content-Type": "application/json"}
HEADER = "X-Webhook-Hmac"
VOICE = base64.b64encode(b"OggS" + bytes(3000)).decode()


def hook_of(of: dict[str, Any], name: str = "message") -> Hook:
    """An event of this instance."""
    return Hook(body=json.dumps(event(of, name, session=INSTANCE)).encode(), headers=JSON)


def hook(serial: int, **content: Any) -> Hook:
    """A message in ``CHAT``, sent just now."""
    written: dict[str, Any] = {
        "id": whole_id(raw=f"3EB0D00R{serial:08}"),
        "timestamp": int(time.time()),
    }
    return hook_of(payload(**(written | content)))


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook(serial, body=said)


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """What WAHA makes of its ``hmac.key``."""
    signature = hmac.new(secret.encode(), of.body, hashlib.sha512).hexdigest()
    return replace(of, headers={**of.headers, HEADER: signature})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """A photo by its address, a voice note with its bytes inside, a place and two texts."""
    voice = media("audio/ogg; codecs=opus", url=None, data=VOICE)
    spoken = gows({"audioMessage": {"seconds": 4, "PTT": True}})
    place = {"latitude": "-23.5", "longitude": "-46.625", "description": "Corner café"}
    hooks = [
        hook(1, hasMedia=True, media=media(), body="this one"),
        hook(2, hasMedia=True, media=voice, _data=spoken),
        hook(3, location=place),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    photo = {"mime": "image/jpeg", "caption": "this one", "url": media()["url"]}
    heard = {"mime": "audio/ogg; codecs=opus", "duration_s": 4, "data": VOICE}
    expected = [
        Expected(kind="image", text="this one", media=photo),
        Expected(kind="audio", text="", media=heard),
        Expected(kind="location", text="-23.5,-46.625\nCorner café"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """What else WAHA tells: hidden phones, quotes, engines' types, groups, echoes, no messages."""
    linked = gows({"conversation": "hi"}, SenderAlt="351910000001:7@s.whatsapp.net")
    row = {"listResponseMessage": {"title": "Book", "singleSelectReply": {"selectedRowId": "r5"}}}
    card = "BEGIN:VCARD\nFN:Rui\nTEL:+351 000\nEND:VCARD"
    in_group = {"id": whole_id(GROUP, author=LID), "participant": LID, "body": "anyone?"}
    kept = [
        payload(LID, body="hi", _data=linked),
        payload(body="yes", replyTo={"id": whole_id(own=True), "body": "friday?"}),
        payload(_data=noweb(row)),
        payload(vCards=[card], _data={"type": "vcard", "notifyName": "Ana"}),
        payload(hasMedia=True, media=media("image/webp"), _data={"type": "sticker"}),
        payload(GROUP, **in_group),
        payload("status@broadcast", participant=CHAT, body="look"),
        own_payload(),
        payload(_data=noweb({"call": {"callKey": "a2V5"}})),
    ]
    rest = {
        "message.any": own_payload(LID),
        "message.ack": {"id": whole_id(own=True), "ack": 3, "ackName": "READ"},
        "message.reaction": payload(reaction={"text": "🙂", "messageId": whole_id(own=True)}),
        "message.revoked": {"revokedMessageId": "3EB0", "after": payload(), "before": None},
        "session.status": {"status": "WORKING", "statuses": []},
        "group.v2.join": {"group": {"id": GROUP}},
        "call.received": {"id": "c1", "from": CHAT},
    }
    return [*map(hook_of, kept), *(hook_of(of, name) for name, of in rest.items())]


def sent(said: str) -> ApiCall:
    """``sendText`` to the chat that the message came from."""
    return ApiCall(
        method="POST",
        path="/api/sendText",
        headers={"X-Api-Key": TOKEN},
        body={"session": INSTANCE, "chatId": CHAT, "text": said},
    )


DOOR = Door(
    provider="waha",
    settings={"secret": SECRET, "token": TOKEN},
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(201, {"id": whole_id(raw="3EB0SENT0001", own=True), "body": "x"}),
    signature=HEADER,
    others=others,
)
