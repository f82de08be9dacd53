"""Meta's signature: over the raw bytes, with an app secret, in one header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from shared.providers import WebhookRequest
from shared.providers.messenger import Messenger
from shared.providers.meta import MetaProvider
from shared.providers.whatsapp import WhatsApp
from tests.support.meta_payloads import signature

HEADER = "X-Hub-Signature-256"
SECRET = "test_app_secret"
EMPTY_BATCH = b'{"object":"whatsapp_business_account","entry":[]}'
ESCAPED = b'{"text":"caf\\u00e9"}'
DECODED = '{"text":"café"}'.encode()
WORKED = {
    EMPTY_BATCH: "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
    ESCAPED: "sha256=bb4499e58580005a6a1c9d137b099e427574d6dc9190b6d4f88590b2af74e549",
}
"""The rules' worked vectors, under ``SECRET``."""

GOOD = WORKED[ESCAPED]

each_provider = pytest.mark.parametrize("provider", [WhatsApp(), Messenger()], ids=lambda p: p.name)


def verify(
    *headers: tuple[str, str],
    body: bytes = ESCAPED,
    secrets: tuple[str, ...] = (SECRET,),
    provider: MetaProvider | None = None,
) -> bool:
    """Whether a request with these headers is believed."""
    request = WebhookRequest(body=body, headers=CIMultiDict(headers), query=MultiDict())
    return (provider or WhatsApp()).verify(request, secrets)


@each_provider
@pytest.mark.parametrize("body", WORKED)
def test_the_worked_signatures_are_accepted(provider: MetaProvider, body: bytes) -> None:
    """The rules' vectors verify, whatever the case of the header's name."""
    assert verify((HEADER, WORKED[body]), body=body, provider=provider)
    assert verify((HEADER.lower(), WORKED[body]), body=body, provider=provider)


@each_provider
def test_the_bytes_on_the_wire_are_signed(provider: MetaProvider) -> None:
    """The same JSON with its characters unescaped is another body."""
    assert not verify((HEADER, GOOD), body=DECODED, provider=provider)
    assert not verify((HEADER, GOOD), body=ESCAPED + b"\n", provider=provider)


@pytest.mark.parametrize(
    "body", [b"", "שלום 👩‍👩‍👧".encode(), b"a\r\nb", b"\xff\xfe", b"x" * 100_000]
)
def test_any_bytes_can_be_signed(body: bytes) -> None:
    """Emoji, line breaks, no UTF-8, nothing at all: bytes are bytes."""
    assert verify((HEADER, signature(body, SECRET)), body=body)


def test_each_of_the_rotating_secrets_is_accepted() -> None:
    """While the app secret is replaced, both are good; an empty one never is."""
    assert verify((HEADER, GOOD), secrets=("newer", SECRET))
    assert verify((HEADER, GOOD), secrets=(SECRET, "newer"))
    assert not verify((HEADER, GOOD), secrets=("newer",))
    assert not verify((HEADER, signature(ESCAPED, "")), secrets=("",))
    assert not verify((HEADER, GOOD), secrets=())


def test_a_secret_need_not_be_ascii() -> None:
    """Secrets are bytes."""
    assert verify((HEADER, signature(ESCAPED, "çãé 🙂")), secrets=("çãé 🙂",))


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "sha256=",
        GOOD.upper(),
        "sha256=" + GOOD[7:].upper(),
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"),
        GOOD[7:],
        "sha1=" + GOOD[7:],
        "SHA256=" + GOOD[7:],
        "sha256= " + GOOD[7:],
        " " + GOOD,
        GOOD + " ",
        f"{GOOD}, {GOOD}",
        "sha256=é",
        "sha256=\udcff",
        "sha256=" + "a" * 100_000,
        SECRET,
    ],
)
def test_a_signature_that_is_nearly_right_is_refused(value: str) -> None:
    """Another case, prefix, length, a space: not what Meta sends."""
    assert not verify((HEADER, value))


def test_a_signature_given_twice_is_refused() -> None:
    """Another hop may have looked at the other one, even where both are the same."""
    assert not verify((HEADER, GOOD), (HEADER, GOOD))
    assert not verify((HEADER, GOOD), (HEADER.lower(), "sha256=00"))


@pytest.mark.parametrize(
    "header", ["X-Hub-Signature", "Authorization", "X-Signature", "X-Hub-Signature-512"]
)
def test_only_its_own_header_counts(header: str) -> None:
    """The older SHA-1 header proves nothing, and no other does."""
    assert not verify((header, GOOD))
    assert not verify((header, f"Bearer {SECRET}"))


def test_a_request_without_a_signature_is_refused() -> None:
    """There is no other way in."""
    assert not verify()


@given(value=st.text(max_size=200), body=st.binary(max_size=200))
def test_nothing_that_is_offered_raises(value: str, body: bytes) -> None:
    """Whatever stands in the header, the answer is yes or no."""
    assert not verify((HEADER, value), body=body)
