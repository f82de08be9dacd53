"""Evolution as the outside sees it: a key in a header, and ``sendText`` for the answer."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import INSTANCE, SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.evolution_payloads import (
    LID,
    PHONE,
    context_info,
    image_message,
    item,
    key,
    text_item,
    webhook,
)

JSON = {"Content-Type": "application/json"}
APIKEY = "planted-evolution-apikey"
PHOTO = base64.b64encode(bytes(range(256)) * 24).decode()
VOICE = base64.b64encode(b"OggS" + bytes(4000)).decode()


def hook(message: dict[str, Any], message_type: str, serial: int, **changes: Any) -> Hook:
    """A message of ``PHONE``, sent just now."""
    data = item(
        message,
        message_type,
        of=key(id=f"3EB0D00R{serial:08}"),
        messageTimestamp=int(time.time()),
        **changes,
    )
    envelope = webhook(data, instance=INSTANCE, apikey=APIKEY)
    return Hook(body=json.dumps(envelope).encode(), headers=JSON)


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook({"conversation": said}, "conversation", serial)


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """The header that the instance's webhook was given in Evolution."""
    return replace(of, headers={**of.headers, "apikey": secret})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """With photo and voice note inside, as ``base64: true`` sends them."""
    photo = {"mimetype": "image/jpeg", "fileLength": "6144", "caption": "this one"}
    voice = {"mimetype": "audio/ogg; codecs=opus", "seconds": 4, "ptt": True}
    place = {"degreesLatitude": -23.5, "degreesLongitude": -46.625, "name": "Corner café"}
    hooks = [
        hook({"imageMessage": photo, "base64": PHOTO}, "imageMessage", 1),
        hook({"audioMessage": voice, "base64": VOICE}, "audioMessage", 2),
        hook({"locationMessage": place}, "locationMessage", 3),
        text("is it open?", 4),
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
            media={"mime": "audio/ogg; codecs=opus", "duration_s": 4, "data": VOICE},
        ),
        Expected(kind="location", text="-23.5,-46.625\nCorner café"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """What else Evolution tells: wrapped, quoted, chosen, grouped, its own, and no messages."""
    quoted = {"stanzaId": "3EB0QUOTED", "quotedMessage": {"conversation": "friday?"}}
    wrapped = {"ephemeralMessage": {"message": image_message({"0": 65, "1": 66})}}
    card = {"displayName": "Ben", "vcard": "BEGIN:VCARD\nTEL:+49 30 1234\nEND:VCARD"}
    row = {"title": "Book", "singleSelectReply": {"selectedRowId": "row-5"}}
    group = key(remoteJid="120363000000000001@g.us", participant="5511987650002:7@s.whatsapp.net")
    linked = key(remoteJid=f"{LID}@lid", remoteJidAlt=f"{PHONE}@s.whatsapp.net")
    edit = {"protocolMessage": {"type": 14, "key": key(), "editedMessage": {"conversation": "no"}}}
    listed = [text_item("hi", of=linked), text_item("mine", of=key(fromMe=True))]
    datas: list[Any] = [
        text_item("hi", contextInfo=quoted),
        item(wrapped | {"messageContextInfo": context_info()}, "ephemeralMessage"),
        item({"contactsArrayMessage": {"contacts": [card, card]}}),
        item({"listResponseMessage": row}, "listResponseMessage"),
        item({"buttonsResponseMessage": {"selectedButtonId": "yes"}}),
        item({"interactiveResponseMessage": {"body": {"text": "Book"}}}),
        item({"reactionMessage": {"key": key(), "text": "🙂"}}, "reactionMessage"),
        text_item("all of you", of=group),
        listed,
        {"type": "notify", "messages": [text_item()]},
        text_item("hi", messageTimestamp={"low": 5, "high": 0, "unsigned": True}),
    ]
    events = [webhook(data, instance=INSTANCE, apikey=APIKEY) for data in datas]
    events += [
        webhook([text_item()], event="messages.set", instance=INSTANCE),
        webhook(edit, event="messages.edited", instance=INSTANCE),
        webhook({"keyId": "3EB0", "status": "READ"}, event="messages.update", instance=INSTANCE),
        webhook({"state": "open"}, event="CONNECTION_UPDATE", instance=INSTANCE),
    ]
    return [Hook(body=json.dumps(event).encode(), headers=JSON) for event in events]


def sent(said: str) -> ApiCall:
    """``sendText`` to the jid that the message came from."""
    return ApiCall(
        method="POST",
        path=f"/message/sendText/{INSTANCE}",
        headers={"apikey": TOKEN},
        body={"number": f"{PHONE}@s.whatsapp.net", "text": said},
    )


DOOR = Door(
    provider="evolution",
    settings={"secret": SECRET, "token": TOKEN},
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(201, {"key": {"id": "3EB0SENT0001", "fromMe": True}, "status": "PENDING"}),
    signature="apikey",
    others=others,
)
