"""Ordinary texts have a way of their own, and nobody can tell."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.payload import parse_json
from shared.providers import Parsed, ParseOptions
from shared.providers.evolution import Evolution
from shared.providers.evolution_plain import PlainText, read_plain
from tests.support.doors import Hook
from tests.support.evolution_payloads import (
    LID,
    MAX_AGE_MS,
    PHONE,
    RECEIVED_AT,
    SENT_S,
    context_info,
    item,
    key,
    text_item,
    webhook,
)
from tests.support.mutations import Mutator
from tests.support.parsing import account_itself, recipient, webhook_request

EVOLUTION = Evolution()
OPTIONS: dict[str, Any] = {
    "recipient_of": account_itself,
    "received_at": RECEIVED_AT,
    "max_age_ms": MAX_AGE_MS,
    "media_inline_bytes": 256 * 1024,
}
PHONE_JID = f"{PHONE}@s.whatsapp.net"

Outcome = Parsed | tuple[int, str, str]


def outcome(body: bytes, *, is_short: bool, **changes: Any) -> Outcome:
    """What becomes of a webhook, by the short way where it may be one, or by the long one."""
    request = webhook_request(body)
    try:
        payload = EVOLUTION.read(request) if is_short else parse_json(body)
        options = ParseOptions(request=request, **(OPTIONS | changes))
        return EVOLUTION.parse(payload, options)
    except RequestRefused as error:
        return error.status, error.code, str(error)


def agree(body: bytes, **changes: Any) -> bool:
    """Whether both ways end alike; of numbers too large for any float only the long one speaks."""
    long = outcome(body, is_short=False, **changes)
    if isinstance(long, tuple) and "infinity" in long[2]:
        return True
    return outcome(body, is_short=True, **changes) == long


def plain_webhooks() -> Iterator[dict[str, Any]]:
    """Texts as Evolution's versions write them."""
    yield webhook(text_item("are you open?"))
    yield webhook(text_item(""), instance=None, type="notify")
    yield webhook(text_item("línea\n2 🙂 [x]", pushName=" ", messageTimestamp=None))
    message = {"conversation": "hi", "messageContextInfo": context_info()}
    yield webhook(item(message, "extendedTextMessage", contextInfo={"stanzaId": "3EB0FF"}))
    yield webhook(item(message, contextInfo=None, type="notify", pushName=None))
    yield webhook(text_item(of=key(remoteJid=f" {PHONE}:12@s.whatsapp.net", senderLid=LID)))
    yield webhook(text_item(messageTimestamp=10**15, contextInfo={"stanzaId": ""}))


def other_webhooks() -> Iterator[dict[str, Any]]:
    """Those that are nearly of that form, and are not, or not simply a message."""
    yield webhook(text_item(), event="MESSAGES_UPSERT")
    yield webhook(text_item(), type="append")
    yield webhook(text_item(type="append"))
    yield webhook([text_item()])
    yield webhook({"messages": [text_item()], "type": "notify"})
    yield webhook({"messages": [text_item()], **text_item()})
    yield webhook(item({"conversation": "hi", "ephemeralMessage": {"message": {}}}))
    yield webhook(item({"conversation": "hi", "base64": "AAAA"}))
    yield webhook(item({"conversation": 5}))
    yield webhook(item({"conversation": None, "imageMessage": {}}))
    yield webhook(item(None))
    yield webhook(text_item(of=key(fromMe=True)))
    yield webhook(text_item(of=key(fromMe="true")))
    yield webhook(text_item(of=key(id=" ")))
    yield webhook(text_item(of=key(id="")))
    yield webhook(text_item(of=key(id="x" * 257)))
    yield webhook(text_item(of=key(remoteJid=f"{LID}@lid", remoteJidAlt=PHONE_JID)))
    yield webhook(text_item(of=key(remoteJid=f"{LID}@lid")))
    yield webhook(text_item(of=key(remoteJid=f"x@{PHONE_JID}")))
    yield webhook(text_item(of=key(remoteJid="123-456@g.us")))
    yield webhook(text_item(of=key(remoteJid="@s.whatsapp.net")))
    yield webhook(text_item(messageTimestamp=str(SENT_S)))
    yield webhook(text_item(messageTimestamp={"low": SENT_S, "high": 0}))
    yield webhook(text_item(messageTimestamp=SENT_S - 10**6))
    yield webhook(text_item(contextInfo=[]))
    yield webhook(text_item(pushName=7), instance="\n")
    yield webhook(text_item("x" * 20_000))


@pytest.mark.parametrize("payload", [*plain_webhooks()])
def test_an_ordinary_text_goes_the_short_way(payload: dict[str, Any]) -> None:
    """It is read as such, and is the message that the long way makes of it."""
    body = json.dumps(payload).encode()
    assert isinstance(EVOLUTION.read(webhook_request(body)), PlainText)
    assert isinstance(outcome(body, is_short=True), Parsed)
    assert agree(body)
    assert agree(json.dumps(payload, ensure_ascii=False).encode())


@pytest.mark.parametrize("payload", [*other_webhooks()])
def test_whatever_else_comes_is_told_as_ever(payload: dict[str, Any]) -> None:
    """Counted, refused or read, as if there were no short way."""
    assert agree(json.dumps(payload).encode())


def test_what_the_settings_ask_for_is_as_ever() -> None:
    """An account of somebody else, an instance that stores what came."""
    body = json.dumps(webhook(text_item())).encode()
    assert agree(body, recipient_of=lambda _account, _setting=None: None)
    assert agree(body, recipient_of=recipient("desk-2", store_raw=True))
    kept = outcome(body, is_short=True, recipient_of=recipient("desk-2", store_raw=True))
    assert isinstance(kept, Parsed)
    assert kept.messages[0].raw


@pytest.mark.parametrize(
    "unread, code",
    [
        (b'"\xff"', "invalid_json"),
        (b'"\xed\xa0\x80"', "invalid_json"),
        (b"01", "invalid_json"),
        (b"[1,]", "invalid_json"),
        (b"[" * 70 + b"]" * 70, "json_too_deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "json_too_deep"),
    ],
)
def test_damage_in_what_is_not_read_is_refused(unread: bytes, code: str) -> None:
    """The whole body must be JSON, within its bounds."""
    body = json.dumps(webhook(text_item(), server_url="@")).encode().replace(b'"@"', unread)
    assert read_plain(body) is None
    refused = outcome(body, is_short=True)
    assert isinstance(refused, tuple)
    assert refused[:2] == (400, code)
    assert agree(body)


def test_half_an_emoji_goes_the_way_of_all_payloads() -> None:
    """Half a surrogate pair, read or not, is no reason to refuse a message."""
    for field in ("pushName", "unread"):
        body = json.dumps(webhook(text_item(**{field: "Ana \ud83d"}))).encode()
        read = outcome(body, is_short=True)
        assert isinstance(read, Parsed)
        assert len(read.messages) == 1
        assert agree(body)


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_agree_on_mutated_texts(seed: int) -> None:
    """Whatever is dropped, retyped, nested, cut or damaged."""
    mutator, payloads = Mutator(random.Random(seed)), list(plain_webhooks())
    plain = 0
    for number in range(1500):
        payload = payloads[number % len(payloads)]
        hook = mutator.mutate(Hook(body=json.dumps(payload).encode()))
        assert agree(hook.body), hook.body
        plain += read_plain(hook.body) is not None
    assert plain > 200
