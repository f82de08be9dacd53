"""Twilio as the outside sees it: forms signed with the URL, answered through its API."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from tests.support.doors import INSTANCE, PUBLIC_URL, SECRET, TOKEN, ApiCall, Door, Expected, Hook
from tests.support.twilio_payloads import (
    ACCOUNT_SID,
    FORM,
    OWN_NUMBER,
    PHONE,
    SERVICE_SID,
    file_url,
    files,
    form,
    sid,
    signature,
    sms,
    whatsapp,
)


def hook(fields: dict[str, str]) -> Hook:
    """A form."""
    return Hook(body=form(fields), headers=FORM)


def text(said: str, serial: int) -> Hook:
    """A plain text on WhatsApp."""
    return hook(whatsapp(said, serial))


def sign(of: Hook, secret: str, _now_s: int) -> Hook:
    """With the account's auth token, over the URL that was put into Twilio's console."""
    url = f"{PUBLIC_URL}/webhooks/twilio/{INSTANCE}" + (f"?{of.query}" if of.query else "")
    is_form = of.method == "POST" and of.headers.get("Content-Type") != "application/json"
    proof = signature(secret, url, of.body if is_form else b"")
    return replace(of, headers={**of.headers, "X-Twilio-Signature": proof})


def burst() -> tuple[Sequence[Hook], Sequence[Expected]]:
    """Files stand as addresses at Twilio."""
    photo = files("image/jpeg", number=1)
    voice = files("audio/ogg", number=2)
    place = {"Latitude": "-23.5", "Longitude": "-46.625", "Label": "Corner café"}
    hooks = [
        hook(whatsapp("this one", 1, **photo, MessageType="image")),
        hook(whatsapp("", 2, **voice, MessageType="audio")),
        hook(whatsapp(None, 3, **place, MessageType="location")),
        text("is it open?", 4),
        text("for two 🙂", 5),
    ]
    expected = [
        Expected(
            kind="image",
            text="this one",
            media={"url": file_url(0, 1), "mime": "image/jpeg", "caption": "this one"},
        ),
        Expected(kind="audio", text="", media={"url": file_url(0, 2), "mime": "audio/ogg"}),
        Expected(kind="location", text="-23.5,-46.625\nCorner café"),
        Expected(kind="text", text="is it open?"),
        Expected(kind="text", text="for two 🙂"),
    ]
    return hooks, expected


def others() -> Sequence[Hook]:
    """Other channels, choices, several files, GET, JSON, and what becomes of ours."""
    quoted = {"OriginalRepliedMessageSid": sid(77), "OriginalRepliedMessageSender": OWN_NUMBER}
    chosen = {"ButtonText": "Book", "ButtonPayload": "book-1", "MessageType": "button"}
    listed = {"ListId": "row-5", "ListTitle": "Friday", "MessageType": "interactive"}
    status = {"MessageStatus": "delivered", "SmsStatus": "delivered"}
    as_json = json.dumps(whatsapp("json")).encode()
    return [
        hook(sms("", FromCity="BERLIN")),
        hook(sms("menu", 2, **files("image/png", "text/vcard", "application/pdf"))),
        hook(whatsapp("Book", 3, **chosen, **quoted, MessagingServiceSid=SERVICE_SID)),
        hook(whatsapp("Friday", 4, **listed)),
        hook(whatsapp("hi", 5, From="whatsapp:US.INVENTED0001", ExternalUserId="US.INVENTED0001")),
        hook(whatsapp(None, 6, MessageType="unsupported")),
        hook(whatsapp("hi", 7, MessageSid=None, SmsSid=None, SmsMessageSid=None)),
        hook(whatsapp(None, 9, **status, From=OWN_NUMBER, To=f"whatsapp:+{PHONE}")),
        Hook(body=b"", method="GET", query=urlencode(sms("by GET", 8))),
        Hook(body=as_json, headers={"Content-Type": "application/json"}, query="bodySHA256=00"),
    ]


def sent(said: str) -> ApiCall:
    """A message from the number that was written to."""
    credentials = base64.b64encode(f"{ACCOUNT_SID}:{TOKEN}".encode()).decode()
    return ApiCall(
        method="POST",
        path=f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        headers={"Authorization": f"Basic {credentials}"},
        body={"From": OWN_NUMBER, "To": f"whatsapp:+{PHONE}", "Body": said},
    )


DOOR = Door(
    provider="twilio",
    settings={
        "secret": SECRET,
        "token": TOKEN,
        "account_sid": ACCOUNT_SID,
        "from": OWN_NUMBER,
    },
    text=text,
    sign=sign,
    burst=burst,
    sent=sent,
    answer=(201, {"sid": sid(900), "status": "queued", "error_code": None}),
    signature="X-Twilio-Signature",
    others=others,
)
