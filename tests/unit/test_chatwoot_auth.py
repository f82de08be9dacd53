"""Who may send a Chatwoot webhook: whoever signs it now, or has the secret in its URL."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from multidict import CIMultiDict, MultiDict

from shared.providers import WebhookRequest
from shared.providers.chatwoot import Chatwoot

NOW_S = 1_700_000_000
SECRET = "test_webhook_secret"
BODY = b'{"event":"message_created","id":1}'
WORKED = "sha256=ab010467e7985c75c547cfb63589be1c8f8c48f9489916eb46e8ebd38d5919e4"
"""The rules' worked vector: ``BODY`` at ``NOW_S``, signed with ``SECRET``."""


def verify(
    signature: str | None = WORKED,
    stamp: str | None = str(NOW_S),
    *,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    now_s: float = NOW_S,
    query: str | None = None,
    twice: str | None = None,
) -> bool:
    """Whether such a request is accepted; ``twice`` is a header that comes again."""
    headers: CIMultiDict[str] = CIMultiDict()
    if signature is not None:
        headers.add("X-Chatwoot-Signature", signature)
    if stamp is not None:
        headers.add("X-Chatwoot-Timestamp", stamp)
    if twice is not None:
        headers.add(twice, headers[twice])
    found: MultiDict[str] = MultiDict() if query is None else MultiDict({"secret": query})
    request = WebhookRequest(body=body, headers=headers, query=found)
    return Chatwoot(now_s=lambda: now_s).verify(request, secrets)


def signed(body: bytes, stamp: str, secret: str = SECRET) -> str:
    """The signature as Chatwoot makes it."""
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def test_the_worked_vector_is_accepted() -> None:
    """And its body, stamp and secret are what it stands for."""
    assert verify()
    assert signed(BODY, str(NOW_S)) == WORKED
    assert not verify(body=BODY + b" ")
    assert not verify(stamp=str(NOW_S + 1))
    assert not verify(secrets=("another",))


@pytest.mark.parametrize(
    "age_s, accepted",
    [(0, True), (299, True), (300, True), (301, False), (-299, True), (-301, False)],
)
def test_a_stamp_is_good_for_five_minutes_either_way(age_s: int, accepted: bool) -> None:
    """What was recorded cannot be sent again later."""
    assert verify(now_s=NOW_S + age_s) is accepted


@pytest.mark.parametrize("body", ["grüße 🙂".encode(), b'{"a":"x\r\ny"}', b"", b"\xff\xfe"])
def test_any_bytes_can_be_signed(body: bytes) -> None:
    """The raw bytes count."""
    assert verify(signed(body, str(NOW_S)), body=body)


def test_both_secrets_are_good_while_they_rotate() -> None:
    """In any order; an empty one lets nobody in."""
    assert verify(secrets=("new", SECRET))
    assert verify(secrets=(SECRET, "old"))
    assert not verify(secrets=())
    assert not verify(signed(BODY, str(NOW_S), ""), secrets=("",))


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        WORKED.upper(),
        "sha256=" + WORKED[7:].upper(),
        WORKED[7:],
        "sha1=" + WORKED[7:],
        "sha256= " + WORKED[7:],
        f"{WORKED} ",
        WORKED[:-1],
        WORKED[:-1] + ("5" if WORKED[-1] == "4" else "4"),
        "sha256=",
        "sha256=é",
        "sha256=\udcff",
    ],
)
def test_what_is_nearly_a_signature_is_none(signature: str | None) -> None:
    """A wrong digit, another prefix, capitals or spaces prove nothing."""
    assert not verify(signature)


@pytest.mark.parametrize("stamp", [None, "", "soon", "1700000000.0", "+1700000000", "١٧", "1" * 20])
def test_a_stamp_must_be_a_time(stamp: str | None) -> None:
    """Even where it is signed."""
    assert not verify(signed(BODY, stamp or ""), stamp)


@pytest.mark.parametrize("header", ["X-Chatwoot-Signature", "X-Chatwoot-Timestamp"])
def test_a_header_given_twice_is_refused(header: str) -> None:
    """Two hops could read different ones."""
    assert not verify(twice=header)


def test_older_versions_have_the_secret_in_their_url() -> None:
    """They sign nothing; a newer one signs with a secret of its own and may have it there too."""
    assert verify(None, None, query=SECRET)
    assert verify("sha256=0", str(NOW_S), query=SECRET)
    assert verify(None, None, query="old", secrets=(SECRET, "old"))
    assert not verify(None, None, query="wrong")
    assert not verify(None, None, query="")
    assert not verify(None, None, query="", secrets=("",))
