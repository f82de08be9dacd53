"""Who may send a Twilio webhook: whoever signs its URL and its form with the auth token."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from multidict import CIMultiDict

from shared.providers import WebhookRequest
from shared.providers.twilio import Twilio
from shared.providers.twilio_form import FIELDS_MAX
from tests.support.parsing import webhook_request
from tests.support.twilio_payloads import FORM, form, signature, sms

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
BODY = (
    b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309"
    b"&To=%2B18005551212"
)
WORKED = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
"""The rules' worked vector, twilio-python's own: ``URL`` and ``BODY``, signed with ``TOKEN``."""

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "twilio"


def verify(
    proof: str | None,
    body: bytes = BODY,
    url: str | None = URL,
    *,
    method: str = "POST",
    kind: str | None = FORM["Content-Type"],
    secrets: tuple[str, ...] = (TOKEN,),
) -> bool:
    """Whether such a request is accepted."""
    headers = {} if kind is None else {"Content-Type": kind}
    if proof is not None:
        headers["X-Twilio-Signature"] = proof
    query = (url or "").partition("?")[2]
    request = webhook_request(body, headers, query, method=method, url=url)
    return Twilio().verify(request, secrets)


def test_the_worked_vector_is_accepted() -> None:
    """And its URL, body and token are what it stands for."""
    assert verify(WORKED)
    assert signature(TOKEN, URL, BODY) == WORKED
    assert not verify(WORKED, BODY + b"&x=")
    assert not verify(WORKED, url=URL + "&x=1")
    assert not verify(WORKED, secrets=("another",))


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of real payloads is absent")
@pytest.mark.parametrize(
    "name, proof",
    [
        ("01_whatsapp_text_accent.txt", "nH2lgKVEas2dkC6bbVRn0M1bHIo="),
        ("05_whatsapp_image_no_caption.txt", "OpMasp/G7Gnz6cdTiuizstNtyMA="),
        ("09_whatsapp_button_reply_arabic_emoji_name.txt", "9C9gsLoPNohb6BAMKffCUeGqGf8="),
    ],
)
def test_the_vectors_of_real_payloads_are_accepted(name: str, proof: str) -> None:
    """Accents, Arabic, emoji, and a blank field, which is signed like any other."""
    body = (FOLDER / name).read_bytes().strip()
    assert verify(proof, body, "https://example.com/twilio/main")


def test_without_a_public_url_nothing_can_be_verified() -> None:
    """Never by what the request says of itself."""
    assert not verify(WORKED, url=None)


@pytest.mark.parametrize("body", [b"Body=&From=%2B1", b"Body&From=%2B1", b"&&Body=&From=%2B1&"])
def test_blank_fields_are_signed(body: bytes) -> None:
    """A name alone is a blank field, and nothing is no field."""
    assert verify(signature(TOKEN, URL, b"From=%2B1&Body="), body)
    assert not verify(signature(TOKEN, URL, b"From=%2B1"), body)


def test_the_order_of_a_form_does_not_matter() -> None:
    """Names are sorted before they are signed."""
    backwards = b"&".join(reversed(BODY.split(b"&")))
    assert verify(WORKED, backwards)


def test_a_field_given_twice_is_signed_by_its_different_values() -> None:
    """Sorted, and each value once."""
    digest = hmac.digest(TOKEN.encode(), f"{URL}Aa1Aa2Bb".encode(), hashlib.sha1)
    proof = base64.b64encode(digest).decode()
    for body in (b"A=a2&A=a1&B=b", b"A=a1&B=b&A=a2&A=a1", b"B=b&A=a2&A=a1&B=b"):
        assert verify(proof, body)
    assert not verify(proof, b"A=a1&B=b")


@pytest.mark.parametrize(
    "body",
    [
        b"Body=a+b%20c%2Bd",
        "Body=grüße 🙂".encode(),
        b"Body=" + quote_plus("line\r\nbreak שלום").encode(),
        b"Body=%ff%fe",
        b"Body=\xff",
        b"Body=%ed%a0%80",
        b"Body=100%",
        b"",
    ],
)
def test_any_bytes_can_be_signed(body: bytes) -> None:
    """The decoded bytes count, also where they are no text."""
    assert verify(signature(TOKEN, URL, body), body)
    assert not verify(signature(TOKEN, URL, body), body + b"x=1")


@pytest.mark.parametrize(
    "known, signed",
    [
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("http://a.example/x", "http://a.example:80/x"),
        ("https://a.example:8443/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example:8443/x"),
        ("https://a.example?y=1", "https://a.example:443?y=1"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
        ("https://user:pass@a.example/x", "https://user:pass@a.example:443/x"),
        ("https://a.example/x:1", "https://a.example:443/x:1"),
    ],
)
def test_a_url_is_tried_with_and_without_its_port(known: str, signed: str) -> None:
    """Twilio signs either, whichever it was told."""
    assert verify(signature(TOKEN, signed, BODY), url=known)


@pytest.mark.parametrize(
    "signed",
    [
        "https://a.example:8443/x",
        "https://a.example:80/x",
        "http://a.example/x",
        "https://b.example/x",
        "https://a.example/x/",
        "https://a.example/x?",
    ],
)
def test_another_url_is_another(signed: str) -> None:
    """Another port, scheme, host, path or query proves nothing."""
    assert not verify(signature(TOKEN, signed, BODY), url="https://a.example/x")


def test_of_a_get_the_url_alone_is_signed() -> None:
    """It holds every field; a body beside it is not read."""
    url = "https://a.example/x?" + form(sms("grüße & mehr")).decode()
    assert verify(signature(TOKEN, url), b"", url, method="GET", kind=None)
    assert verify(signature(TOKEN, url), b"ignored", url, method="GET")
    assert not verify(signature(TOKEN, url), b"", url + "&Body=other", method="GET")


JSON = b'{"From":"+1","Body":"hi"}'
HASH = hashlib.sha256(JSON).hexdigest()


def test_json_is_signed_by_its_hash_in_the_url() -> None:
    """The signature stands over the URL, and the URL has the hash of the body."""
    url = f"https://a.example/x?bodySHA256={HASH}"
    assert verify(signature(TOKEN, url), JSON, url, kind="application/json; charset=utf-8")
    assert not verify(signature(TOKEN, url), JSON + b" ", url, kind="application/json")


@pytest.mark.parametrize(
    "query",
    ["", "bodySHA256=", f"bodySHA256={HASH.upper()}", f"bodySHA256={HASH}&bodySHA256={HASH}"],
)
def test_json_without_its_hash_is_vouched_for_by_nothing(query: str) -> None:
    """Who recorded a GET of Twilio's could send any body with its signature."""
    url = f"https://a.example/x?{query}"
    assert not verify(signature(TOKEN, url), JSON, url, kind="application/json")


def test_a_hash_in_the_url_vouches_for_no_form() -> None:
    """A form's fields are signed themselves."""
    url = f"https://a.example/x?bodySHA256={hashlib.sha256(BODY).hexdigest()}"
    assert not verify(signature(TOKEN, url), BODY, url)
    assert verify(signature(TOKEN, url, BODY), BODY, url)


def test_both_tokens_are_good_while_they_rotate() -> None:
    """In any order; an empty one lets nobody in."""
    assert verify(WORKED, secrets=("new", TOKEN))
    assert verify(WORKED, secrets=(TOKEN, "old"))
    assert not verify(WORKED, secrets=())
    assert not verify(signature("", URL, BODY), secrets=("",))


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        WORKED.lower(),
        WORKED.rstrip("="),
        f" {WORKED}",
        f"sha1={WORKED}",
        "R" * 28,
        "é",
        "\udcff",
        base64.b64decode(WORKED).hex(),
    ],
)
def test_what_is_nearly_a_signature_is_none(proof: str | None) -> None:
    """Another case, another padding, another coding: nothing is mended."""
    assert not verify(proof)


def test_a_signature_given_twice_is_refused() -> None:
    """Two hops could read different ones."""
    headers = CIMultiDict([("X-Twilio-Signature", WORKED), ("x-twilio-signature", WORKED)])
    query = webhook_request(query=URL.partition("?")[2]).query
    request = WebhookRequest(body=BODY, headers=headers, query=query, url=URL)
    assert not Twilio().verify(request, (TOKEN,))


def test_thousands_of_fields_are_not_verified() -> None:
    """Nobody sends them, and each costs memory."""
    body = b"a=1&" * FIELDS_MAX
    assert not verify(signature(TOKEN, URL, body), body)
