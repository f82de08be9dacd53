"""Who may send an Evolution webhook: whoever knows the secret, by header or by signed token."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from shared.providers import WebhookRequest
from shared.providers.evolution import Evolution

ISSUED_S = 1_700_000_000
TOKEN_KEY = "my-jwt-key"
WORKED_TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDYwMCwiYXBwIjoiZXZvbHV0aW9uIiwiYWN0aW9uIjoid2ViaG9vayJ9."
    "9ZLk1eY2fI3ELW34eAOB8aQ57bc6oljaI2wM8g-8Cfs"
)
"""The rules' worked vector: issued at ``ISSUED_S``, good for 600 s, signed with ``TOKEN_KEY``."""


def verify(
    *headers: tuple[str, str],
    secrets: tuple[str, ...] = (TOKEN_KEY,),
    now_s: float = ISSUED_S + 1,
    query: tuple[tuple[str, str], ...] = (),
) -> bool:
    """Whether a request with these headers and this query is accepted at ``now_s``."""
    request = WebhookRequest(body=b"{}", headers=CIMultiDict(headers), query=MultiDict(query))
    return Evolution(now_s=lambda: now_s).verify(request, secrets)


def token(claims: Any, key: str = TOKEN_KEY, **header: Any) -> str:
    """A signed token; HS256 unless ``header`` says otherwise, and signed with HS256 even then."""
    parts = [
        _b64(orjson.dumps({"alg": "HS256", "typ": "JWT"} | header)),
        _b64(orjson.dumps(claims)),
    ]
    signed = b".".join(parts)
    return b".".join([signed, _b64(hmac.digest(key.encode(), signed, hashlib.sha256))]).decode()


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@pytest.mark.parametrize("name", ["apikey", "ApiKey", "APIKEY"])
def test_the_secret_in_the_apikey_header_is_accepted(name: str) -> None:
    """A static header with the secret vouches, whatever the case of its name."""
    assert verify((name, TOKEN_KEY))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_secret_as_bearer_is_accepted(scheme: str) -> None:
    """``Authorization: Bearer`` with the secret itself vouches."""
    assert verify(("Authorization", f"{scheme} {TOKEN_KEY}"))


def test_any_of_the_secrets_is_accepted_while_rotating() -> None:
    """With two secrets set, the old one and the new one are both good."""
    assert verify(("apikey", "old"), secrets=("new", "old"))
    assert verify(("apikey", "new"), secrets=("new", "old"))


def test_a_secret_that_is_not_ascii_is_accepted() -> None:
    """Secrets are compared as bytes, so any text can be one."""
    assert verify(("apikey", "çãé"), secrets=("çãé",))


def test_the_worked_token_is_accepted_until_it_expires() -> None:
    """The rules' vector verifies inside its ten minutes, and at their end no more."""
    header = ("Authorization", f"Bearer {WORKED_TOKEN}")
    assert verify(header)
    assert verify(header, now_s=ISSUED_S + 599.9)
    assert not verify(header, now_s=ISSUED_S + 600)
    assert not verify(header, secrets=("another",))


def test_the_order_of_the_claims_does_not_matter() -> None:
    """Versions of Evolution order the claims differently."""
    assert verify(
        ("Authorization", "Bearer " + token({"action": "webhook", "exp": ISSUED_S + 600}))
    )


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256", "", None, 5])
def test_the_algorithm_never_comes_from_the_header(algorithm: Any) -> None:
    """A token that names any other algorithm is refused, even with a good HS256 signature."""
    assert not verify(("Authorization", "Bearer " + token({"exp": ISSUED_S + 60}, alg=algorithm)))


@pytest.mark.parametrize(
    "claims",
    [{}, {"exp": None}, {"exp": True}, {"exp": str(ISSUED_S + 60)}, {"exp": [1]}, [], "exp", 7],
)
def test_a_token_without_a_readable_expiry_is_refused(claims: Any) -> None:
    """A signed token that would never expire is not accepted."""
    assert not verify(("Authorization", "Bearer " + token(claims)))


def test_an_unsigned_or_changed_token_is_refused() -> None:
    """No signature, a longer signature, another's claims: none of them verifies."""
    signed, _, signature = WORKED_TOKEN.rpartition(".")
    for forged in (
        f"{signed}.",
        f"{signed}.{signature}=",
        f"{signed}x.{signature}",
        signed,
        "..",
        "",
    ):
        assert not verify(("Authorization", f"Bearer {forged}"))


@pytest.mark.parametrize("name", ["apikey", "authorization"])
def test_a_header_given_twice_is_refused(name: str) -> None:
    """Two values could be read differently by two hops, even when both are right."""
    value = TOKEN_KEY if name == "apikey" else f"Bearer {TOKEN_KEY}"
    assert not verify((name, value), (name.upper(), value))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("apikey", ""),),
        (("apikey", "wrong"),),
        (("Authorization", TOKEN_KEY),),
        (("Authorization", f"Basic {TOKEN_KEY}"),),
        (("x-api-key", TOKEN_KEY),),
    ],
)
def test_anything_else_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    """No header, an empty one, a wrong one, another scheme or another name vouch for nothing."""
    assert not verify(*headers)


@pytest.mark.parametrize("suffix", ["", "/messages-upsert", "/typebot-change-status"])
def test_the_secret_may_stand_in_the_url(suffix: str) -> None:
    """The webhook of all instances has no headers; ``byEvents`` writes behind the query too."""
    assert verify(query=(("secret", TOKEN_KEY + suffix),))
    assert verify(query=(("secret", "a/b" + suffix),), secrets=("a/b",))
    assert not verify(query=(("secret", "wrong" + suffix),))
    assert not verify(query=(("secret", TOKEN_KEY + "/no-event"),))
    assert not verify(query=(("token", TOKEN_KEY + suffix),))


def test_a_secret_given_twice_in_the_url_is_none() -> None:
    """Nor is an empty one, or the token that a key would sign."""
    assert not verify(query=(("secret", TOKEN_KEY), ("secret", TOKEN_KEY)))
    assert not verify(query=(("secret", ""),), secrets=("",))
    assert not verify(query=(("secret", "/call"),), secrets=("",))
    assert not verify(query=(("secret", WORKED_TOKEN),))


def test_an_empty_secret_lets_nobody_in() -> None:
    """A secret that was set to nothing is not matched by a header with nothing."""
    assert not verify(("apikey", ""), secrets=("",))
    assert not verify(
        ("Authorization", "Bearer " + token({"exp": ISSUED_S + 9}, key="")), secrets=("",)
    )
    assert not verify(("apikey", TOKEN_KEY), secrets=())


@given(
    value=st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*") | st.just(WORKED_TOKEN[:-1]),
    name=st.sampled_from(["apikey", "authorization"]),
    scheme=st.sampled_from(["", "Bearer ", "bearer  "]),
    secret=st.text(),
)
def test_verifying_never_raises(value: str, name: str, scheme: str, secret: str) -> None:
    """Whatever a header or a secret holds, the answer is yes or no."""
    assert verify((name, scheme + value), secrets=(secret,)) in (True, False)
