"""Who may send a WAHA event: whoever signs it, or offers the secret where nothing is signed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from shared.providers import WebhookRequest
from shared.providers.waha import Waha

BODY = b'{"event":"message","session":"default","engine":"WEBJS"}'
KEY = "my-secret-key"
WORKED = (
    "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8"
    "097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89"
)
"""The vector of WAHA's documentation: what ``KEY`` makes of ``BODY``."""

HEADER = "X-Webhook-Hmac"


def verify(
    *headers: tuple[str, str],
    secrets: tuple[str, ...] = (KEY,),
    body: bytes = BODY,
    query: tuple[str, ...] = (),
) -> bool:
    """Whether a request with these headers, and ``?secret=`` for each of ``query``, is accepted."""
    asked = MultiDict([("secret", value) for value in query])
    request = WebhookRequest(body=body, headers=CIMultiDict(headers), query=asked)
    return Waha().verify(request, secrets)


def signature(body: bytes, key: str = KEY) -> str:
    """What WAHA writes into its header."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


@pytest.mark.parametrize("name", [HEADER, HEADER.lower(), HEADER.upper()])
def test_the_worked_signature_is_accepted(name: str) -> None:
    """The documentation's vector, whatever the case of the header's name."""
    assert verify((name, WORKED))


def test_both_keys_are_accepted_while_rotating() -> None:
    """Whichever of them signed."""
    for key in ("new", "old"):
        assert verify((HEADER, signature(BODY, key)), secrets=("new", "old"))


def test_the_algorithm_never_comes_from_a_header() -> None:
    """What the header beside the signature says changes nothing."""
    named = "X-Webhook-Hmac-Algorithm"
    assert verify((HEADER, WORKED), (named, "none"))
    weaker = hmac.new(KEY.encode(), BODY, hashlib.sha1).hexdigest()
    assert not verify((HEADER, weaker), (named, "sha1"))
    assert not verify((HEADER, hashlib.sha512(BODY).hexdigest()), (named, "sha512"))


@pytest.mark.parametrize("stamp", ["0", "1", "x", "99999999999999"])
def test_the_time_is_not_signed_and_proves_nothing(stamp: str) -> None:
    """WAHA's timestamp is outside its signature, so no one is turned away by it."""
    assert verify((HEADER, WORKED), ("X-Webhook-Timestamp", stamp))


@pytest.mark.parametrize(
    "headers",
    [
        ((HEADER, ""),),
        ((HEADER, WORKED.upper()),),
        ((HEADER, f"sha512={WORKED}"),),
        ((HEADER, WORKED[:-1]),),
        ((HEADER, f"{WORKED[:-1]}8"),),
        ((HEADER, f"{WORKED}é🙂"),),
        ((HEADER, WORKED), (HEADER, WORKED)),
        ((HEADER, WORKED), (HEADER.lower(), "wrong")),
        ((HEADER, KEY),),
    ],
)
def test_a_signature_that_is_nearly_right_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    """Lower-case hex without a prefix, once, and nothing else."""
    assert not verify(*headers)


def test_a_signature_is_of_one_body() -> None:
    """Line ends and white space are part of it."""
    for body in (b"", BODY + b"\r\n", BODY.replace(b":", b": "), b"{}"):
        assert not verify((HEADER, WORKED), body=body)
        assert verify((HEADER, signature(body)), body=body)


def test_a_wrong_signature_is_not_mended_by_the_secret() -> None:
    """Where there is a signature it alone decides."""
    assert not verify((HEADER, "wrong"), ("X-Api-Key", KEY), query=(KEY,))
    assert not verify((HEADER, ""), ("Authorization", f"Bearer {KEY}"))


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer  {KEY} "),
        ("X-Api-Key", KEY),
        ("X-Webhook-Secret", KEY),
    ],
)
def test_unsigned_the_secret_itself_is_needed(header: tuple[str, str]) -> None:
    """In one of the headers that WAHA's ``customHeaders`` can hold."""
    assert verify(header)
    assert not verify(header, header)
    assert not verify((header[0], header[1].replace(KEY, "wrong")))


def test_unsigned_the_secret_may_stand_in_the_url() -> None:
    """Once; twice it proves nothing."""
    assert verify(query=(KEY,))
    assert not verify(query=(KEY, KEY))
    assert not verify(query=("wrong",))


def test_leaving_the_signature_out_proves_nothing() -> None:
    """An unsigned request without the secret is a stranger's."""
    assert not verify()
    assert not verify(("X-Webhook-Hmac-Algorithm", "sha512"), ("X-Webhook-Request-Id", "1"))


def test_an_empty_key_lets_nobody_in() -> None:
    """What nothing signs is not signed, and nothing offered is no secret."""
    assert not verify((HEADER, signature(BODY, "")), secrets=("",))
    assert not verify(("X-Api-Key", ""), secrets=("",))
    assert not verify((HEADER, WORKED), secrets=())


@given(value=st.text(), name=st.sampled_from([HEADER, "Authorization", "X-Api-Key"]))
def test_verifying_never_raises(value: str, name: str) -> None:
    """Whatever a stranger's header holds, it is no proof."""
    assert not verify((name, value))
