"""Twilio's requests over HTTP: by POST and GET, at whatever address Twilio was told."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from shared.settings import Settings
from tests.support.ingest_server import serving
from tests.support.twilio_payloads import FORM, OWN_NUMBER, form, signature, sms, whatsapp

TOKEN = "planted-auth-token"
PATH = "/webhooks/twilio/front%20desk"


def settings(public_url: str = "https://bot.example.org", **own: Any) -> Settings:
    """An instance ``front desk`` whose webhooks Twilio signs."""
    instance = {"provider": "twilio", "secret": TOKEN} | own
    return Settings(public_url=public_url, instances={"front desk": instance})


def signed(url: str, body: bytes = b"") -> dict[str, str]:
    """The headers of a request to ``url``."""
    return {**FORM, "X-Twilio-Signature": signature(TOKEN, url, body)}


@pytest.mark.parametrize(
    "public_url, told",
    [
        ("https://bot.example.org", "https://bot.example.org"),
        ("https://bot.example.org/", "https://bot.example.org"),
        ("https://bot.example.org", "https://bot.example.org:443"),
        ("https://bot.example.org:443", "https://bot.example.org"),
        ("https://bot.example.org:8443", "https://bot.example.org:8443"),
        ("http://bot.example.org", "http://bot.example.org:80"),
        ("https://example.org/chat/bot", "https://example.org/chat/bot"),
    ],
)
async def test_the_address_that_twilio_was_told_is_what_counts(public_url: str, told: str) -> None:
    """With a port or without, behind a proxy's prefix; the request's own ``Host`` is another."""
    body = form(whatsapp("grüße"))
    async with serving(settings(public_url)) as server:
        answer = await server.post(PATH, body, headers=signed(told + PATH, body))
        assert answer.status == 200
        assert [message.text for message in server.appender.messages] == ["grüße"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example;proto=https"},
    ],
)
async def test_what_a_request_says_of_its_address_counts_for_nothing(
    headers: dict[str, str],
) -> None:
    """Whoever signs for an address of his own is refused."""
    body = form(whatsapp())
    async with serving(settings()) as server:
        proof = signed("https://evil.example" + PATH, body)
        answer = await server.post(PATH, body, headers={**proof, **headers})
        assert answer.status == 401
        assert server.appender.messages == []


async def test_the_answer_is_an_empty_instruction() -> None:
    """Messages, repetitions and receipts alike: Twilio would send JSON to the user as a text."""
    bodies = [
        form(fields)
        for fields in (
            whatsapp(),
            whatsapp(),
            whatsapp(SmsStatus="delivered", From=OWN_NUMBER),
        )
    ]
    async with serving(settings()) as server:
        for body in bodies:
            url = f"https://bot.example.org{PATH}"
            answer = await server.post(PATH, body, headers=signed(url, body))
            assert (answer.status, answer.body) == (200, b"<Response/>")
            assert answer.headers["Content-Type"].partition(";")[0] == "text/xml"
        assert len(server.appender.messages) == 1


async def test_a_message_by_get_is_taken_when_it_is_signed() -> None:
    """All of it stands in the URL, and the signature over that."""
    path = f"{PATH}?{urlencode(sms('by GET & co'))}"
    async with serving(settings()) as server:
        proof = signed(f"https://bot.example.org{path}")
        answer = await server.request("GET", path, headers=proof)
        assert (answer.status, answer.body) == (200, b"<Response/>")
        assert [message.text for message in server.appender.messages] == ["by GET & co"]
        for headers in ({}, signed(f"https://bot.example.org{PATH}")):
            refused = await server.request("GET", path, headers=headers)
            assert refused.status == 401
        assert len(server.appender.messages) == 1


async def test_a_query_of_our_own_is_signed_with_the_rest() -> None:
    """Twilio calls the URL as it was entered."""
    path, body = f"{PATH}?tenant=7", form(sms())
    async with serving(settings()) as server:
        proof = signed(f"https://bot.example.org{path}", body)
        assert (await server.post(path, body, headers=proof)).status == 200
        assert (await server.post(PATH, body, headers=proof)).status == 401


async def test_numbers_behind_one_connection_are_told_apart() -> None:
    """By the number that was written to, in whichever channel."""
    instances = {
        "main": {"provider": "twilio", "secret": TOKEN, "from": "+4930555000009"},
        "shop": {"connection": "main", "from": OWN_NUMBER},
    }
    known = Settings(public_url="https://bot.example.org", instances=instances)
    path = "/webhooks/twilio/main"
    async with serving(known) as server:
        for number, fields in enumerate(
            [
                whatsapp("to shop", 1),
                sms("to shop, too", 2),
                sms("to main", 3, To="+4930555000009"),
                whatsapp("to main, too", 4, To="whatsapp:+4930555000009"),
                sms("to nobody", 5, To="+4930555000000"),
            ]
        ):
            body = form(fields)
            headers = signed(f"https://bot.example.org{path}", body)
            assert (await server.post(path, body, headers=headers)).status == 200, number
        found = [(message.instance, message.text) for message in server.appender.messages]
    assert found == [
        ("shop", "to shop"),
        ("shop", "to shop, too"),
        ("main", "to main"),
        ("main", "to main, too"),
    ]
