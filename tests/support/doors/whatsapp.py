"""Meta's Cloud API as the outside sees it: signed batches, and a number's ``messages``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.meta_payloads import (
    BSUID,
    NUMBER_ID,
    PHONE,
    contact,
    signature,
    whatsapp,
    whatsapp_change,
    whatsapp_item,
    whatsapp_text,
    whatsapp_value,
    whatsapp_webhook,
)

VERIFY_TOKEN = "planted-verify-token"


def hook(kind: str, content: Any, serial: int) -> Hook:
    """A message of ``PHONE``, sent just now, with every character escaped as Meta does."""
    item = whatsapp_item(kind, content, serial, timestamp=str(int(time.time())))
    body = json.dumps(whatsapp(item), separators=(",", ":")).encode()
    return Hook(body=body, headers={"Content-Type": "application/json"})


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook("text", {"body": said}, serial)


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """Over the body as it is, with the app secret."""
    return replace(of, headers={**of.headers, "X-Hub-Signature-256": signature(of.body, secret)})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """With the ids by which the media are fetched."""
    photo = {"id": "901", "mime_type": "image/jpeg", "sha256": "cGhvdG8=", "caption": "this one"}
    voice = {"id": "902", "mime_type": "audio/ogg; codecs=opus", "voice": True}
    place = {"latitude": 52.5, "longitude": 13.375, "name": "Corner café", "address": "Ring 7"}
    hooks = [
        hook("image", photo, 1),
        hook("audio", voice, 2),
        hook("location", place, 3),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    image = {"id": "901", "mime": "image/jpeg", "caption": "this one"}
    audio = {"id": "902", "mime": "audio/ogg; codecs=opus"}
    expected = [
        Expected(kind="image", text="this one", media=image),
        Expected(kind="audio", text="", media=audio),
        Expected(kind="location", text="52.5,13.375\nCorner café\nRing 7"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """Choices, cards, orders, edits, reactions, a user without a number, groups, echoes."""
    chosen = {"type": "list_reply", "list_reply": {"id": "r1", "title": "noon"}}
    flow = {"type": "nfm_reply", "nfm_reply": {"name": "flow", "response_json": '{"seats":"2"}'}}
    card = {"name": {"formatted_name": "Bo Muster"}, "phones": [{"phone": "+49 30 5"}]}
    order = {"product_items": [{"product_retailer_id": "TEA", "quantity": 2, "item_price": 4.5}]}
    edit = {"original_message_id": "wamid.A", "message": {"type": "text", "text": {"body": "b"}}}
    items = [
        whatsapp_item("interactive", chosen, 21, context={"from": PHONE, "id": "wamid.A"}),
        whatsapp_item("interactive", flow, 22),
        whatsapp_item("button", {"text": "Confirm", "payload": "ok"}, 23),
        whatsapp_item("contacts", [card], 24),
        whatsapp_item("order", order, 25),
        whatsapp_item("edit", edit, 26),
        whatsapp_item("reaction", {"message_id": "wamid.A", "emoji": "👍"}, 27),
        whatsapp_text("no number", 28, from_user_id=BSUID) | {"from": BSUID},
        whatsapp_text("to all", 29, group_id="77-88"),
        whatsapp_item("document", {"id": "903", "filename": "plan.pdf"}, 30),
    ]
    echo = {"to": PHONE, "id": "wamid.E1", "type": "text", "text": {"body": "by hand"}}
    values = [
        (whatsapp_value(message_echoes=[echo]), "smb_message_echoes"),
        (whatsapp_value(statuses=[{"id": "wamid.S", "status": "failed"}]), "messages"),
        (whatsapp_value(calls=[{"id": "c1"}]), "calls"),
    ]
    payloads = [whatsapp(item) for item in items]
    payloads += [whatsapp_webhook(whatsapp_change(value, field)) for value, field in values]
    payloads.append(whatsapp(*items, contacts=[contact(user_id=BSUID)]))
    return [Hook(body=json.dumps(payload).encode()) for payload in payloads]


def sent(said: str) -> ApiCall:
    """A free text to the number that wrote."""
    return ApiCall(
        method="POST",
        path=f"/{NUMBER_ID}/messages",
        headers={"Authorization": f"Bearer {TOKEN}"},
        body={
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": PHONE,
            "type": "text",
            "text": {"body": said},
        },
    )


DOOR = Door(
    provider="whatsapp",
    settings={
        "secret": SECRET,
        "token": TOKEN,
        "verify_token": VERIFY_TOKEN,
        "phone_number_id": NUMBER_ID,
    },
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(200, {"messaging_product": "whatsapp", "messages": [{"id": "wamid.SENT0001"}]}),
    signature="X-Hub-Signature-256",
    others=others,
)
