"""Proofs beside a provider's own signature: the secret in the URL or as a token; signed URLs."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tests.support.door_server import knock, serving_door, signed
from tests.support.doors import INSTANCE, PUBLIC_URL, SECRET, Door, Hook, doors
from tests.support.doors.twilio import DOOR as TWILIO
from tests.support.twilio_payloads import signature

TAKES_THE_SECRET_ITSELF = {"chatwoot", "evolution", "standard", "waha"}
"""Those that cannot sign, or not in every version."""

THEIR_SIGNATURE_DECIDES = {"standard", "waha"}
"""Who signs needs no other proof, so a wrong signature is one that was tampered with."""

each_door = pytest.mark.parametrize("door", doors(), ids=lambda door: str(door.provider))


async def status_of(door: Door, hook: Hook, public_url: str = PUBLIC_URL) -> int:
    """The status; only what is 200 is kept."""
    async with serving_door(door, public_url=public_url) as server:
        answer = await knock(server, door, hook)
        assert len(server.appender.messages) == (1 if answer.status == 200 else 0)
        assert server.worst_logged() == []
        for line in server.logs:
            assert "planted" not in str(line)
    return answer.status


def with_query(hook: Hook, query: str) -> Hook:
    """The same with more in its URL."""
    return replace(hook, query="&".join(filter(None, (hook.query, query))))


@each_door
@pytest.mark.parametrize("place", ["URL", "token"])
async def test_the_secret_itself(door: Door, place: str, caplog: pytest.LogCaptureFixture) -> None:
    """``?secret=`` and ``Authorization: Bearer`` are for those alone that cannot sign."""
    plain = door.text("hello", 1)
    hook = with_query(plain, f"secret={SECRET}")
    if place == "token":
        hook = replace(plain, headers={**plain.headers, "Authorization": f"Bearer {SECRET}"})

    expected = 200 if door.provider in TAKES_THE_SECRET_ITSELF else 401
    with caplog.at_level(logging.DEBUG):
        assert await status_of(door, hook) == expected
    assert "planted" not in caplog.text


@each_door
@pytest.mark.parametrize(
    "query",
    [
        "secret=",
        "secret=wrong",
        f"secret={SECRET}&secret={SECRET}",
        f"secret=wrong&secret={SECRET}",
        f"Secret={SECRET}",
        f"secret={SECRET}%00",
        f"secret={SECRET}%0d%0a",
        f"secret={SECRET.upper()}",
        "secret=%ff%fe",
        "secret=%F0%9F%99%82",
        "secret=none",
        "secret",
    ],
)
async def test_nearly_the_secret_in_the_url(door: Door, query: str) -> None:
    """Empty, doubled, in another case or with something behind it, it is none."""
    assert await status_of(door, with_query(door.text("hello", 1), query)) == 401


@pytest.mark.parametrize(
    "door",
    [door for door in doors() if door.provider in THEIR_SIGNATURE_DECIDES],
    ids=lambda door: str(door.provider),
)
async def test_a_secret_does_not_mend_a_signature(door: Door) -> None:
    """Who knows the URL, but not what is signed with, cannot change a body."""
    hook = with_query(signed(door, door.text("hello", 1)), f"secret={SECRET}")
    assert await status_of(door, replace(hook, body=door.text("pay", 2).body)) == 401


@pytest.mark.parametrize(
    "configured, used",
    [
        ("https://bot.example.org", "https://bot.example.org"),
        ("https://bot.example.org", "https://bot.example.org:443"),
        ("https://bot.example.org:443", "https://bot.example.org"),
        ("http://bot.example.org", "http://bot.example.org:80"),
        ("https://bot.example.org:8443", "https://bot.example.org:8443"),
        ("https://bot.example.org/hooks", "https://bot.example.org/hooks"),
    ],
)
async def test_a_signed_url_with_and_without_its_port(configured: str, used: str) -> None:
    """Twilio may name the scheme's own port or leave it out; the console's address is the other."""
    assert await status_of(TWILIO, by_twilio(used), configured) == 200


@pytest.mark.parametrize(
    "used",
    [
        "http://bot.example.org",
        "https://bot.example.org:8443",
        "https://bot.example.com",
        "https://bot.example.org/hooks",
        "http://127.0.0.1",
        "",
    ],
)
async def test_another_url_was_signed(used: str) -> None:
    """What was signed for another address proves nothing here, whatever the request's Host says."""
    hook = by_twilio(used)
    assert await status_of(TWILIO, hook) == 401
    forwarded = {"Host": "bot.example.com", "X-Forwarded-Host": "bot.example.com"}
    told = replace(hook, headers={**hook.headers, **forwarded, "X-Forwarded-Proto": "http"})
    assert await status_of(TWILIO, told) == 401


async def test_the_order_of_a_form_is_not_signed() -> None:
    """The same fields in another order are the same webhook."""
    hook = signed(TWILIO, TWILIO.text("hello", 1))
    turned = b"&".join(reversed(hook.body.split(b"&")))
    assert turned != hook.body
    assert await status_of(TWILIO, replace(hook, body=turned)) == 200


async def test_a_get_is_signed_by_its_url() -> None:
    """A message in the query is taken with a signature of that URL alone, and not without."""
    plain = TWILIO.text("hello", 1)
    hook = Hook(body=b"", method="GET", query=plain.body.decode())
    assert await status_of(TWILIO, signed(TWILIO, hook)) == 200
    assert await status_of(TWILIO, hook) == 401
    other = signed(TWILIO, hook)
    assert await status_of(TWILIO, replace(other, query=f"{other.query}&Body=pay")) == 401


def by_twilio(base: str) -> Hook:
    """A webhook that was signed for this base address."""
    hook = TWILIO.text("hello", 1)
    proof = signature(SECRET, f"{base}/webhooks/twilio/{INSTANCE}", hook.body)
    return replace(hook, headers={**hook.headers, "X-Twilio-Signature": proof})
