"""Telegram as the outside sees it: a secret token in a header, ``sendMessage`` for the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.doors import SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.telegram_payloads import (
    CHANNEL,
    USER,
    chat,
    in_group,
    message,
    person,
    photo_sizes,
    press,
    update,
)

JSON = {"Content-Type": "application/json"}
HEADER = "X-Telegram-Bot-Api-Secret-Token"


def hook(serial: int, **content: Any) -> Hook:
    """A message of ``USER``, sent just now."""
    said = message(message_id=serial, date=int(time.time()), **content)
    body = update(of=said, update_id=70_000_000 + serial)
    return Hook(body=json.dumps(body).encode(), headers=JSON)


def text(said: str, serial: int) -> Hook:
    """A plain text."""
    return hook(serial, text=said)


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """The ``secret_token`` that the webhook was set with."""
    return replace(of, headers={**of.headers, HEADER: secret})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """Photo, voice note, place and two texts."""
    voice = {
        "file_id": "AwAC-voice",
        "duration": 4,
        "mime_type": "audio/ogg",
        "file_size": 9100,
    }
    place = {"latitude": -23.5, "longitude": -46.625}
    venue = {"location": place, "title": "Corner café", "address": "1 Long Street"}
    hooks = [
        hook(1, photo=photo_sizes(), caption="this one"),
        hook(2, voice=voice),
        hook(3, location=place, venue=venue),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    photo = {"id": "AgAC-desk-x", "caption": "this one", "size_bytes": 45000}
    spoken = {"id": "AwAC-voice", "mime": "audio/ogg", "duration_s": 4, "size_bytes": 9100}
    expected = [
        Expected(kind="image", text="this one", media=photo),
        Expected(kind="audio", text="", media=spoken),
        Expected(kind="location", text="-23.5,-46.625\nCorner café\n1 Long Street"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """What else Telegram tells: other kinds, presses, groups, topics, edits, no messages."""
    file = photo_sizes()[0]
    topic = {"is_topic_message": True, "message_thread_id": 31}
    updates = [
        update(of=message(sticker=file | {"emoji": "🦊"})),
        update(of=message(animation=file, document=file)),
        update(of=message(contact={"first_name": "Rui", "phone_number": "+351000"})),
        update(of=message(poll={"question": "When?", "options": [{"text": "now"}]})),
        update(of=message(web_app_data={"data": "seat=4", "button_text": "Seat"})),
        update(of=message(text="yes", reply_to_message=message(message_id=3))),
        update(of=in_group(text="anyone?", **topic)),
        update(of=message(new_chat_members=[person()])),
        update("callback_query", press()),
        update("callback_query", press(message=None, inline_message_id="x1")),
        update("callback_query", press(message=in_group())),
        update("edited_message", message(text="no", edit_date=5)),
        update("channel_post", message(chat=chat("channel", CHANNEL), text="news")),
        update("my_chat_member", {"chat": chat(), "from": person(), "date": 5}),
        update("message_reaction", {"chat": chat(), "user": person(), "new_reaction": []}),
        update("inline_query", {"id": 9, "from": person(), "query": "x"}),
    ]
    return [Hook(body=json.dumps(said).encode(), headers=JSON) for said in updates]


def sent(said: str) -> ApiCall:
    """``sendMessage`` to the chat; the token is in the path."""
    return ApiCall(
        method="POST",
        path=f"/bot{TOKEN}/sendMessage",
        headers={},
        body={"chat_id": USER, "text": said},
    )


DOOR = Door(
    provider="telegram",
    settings={"secret": SECRET, "token": TOKEN},
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(200, {"ok": True, "result": {"message_id": 90_001, "date": 1_760_000_000}}),
    signature=HEADER,
    others=others,
)
