"""Who may send a Telegram update: whoever repeats the secret token in its header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from shared.providers import WebhookRequest
from shared.providers.telegram import Telegram

HEADER = "X-Telegram-Bot-Api-Secret-Token"
SECRET = "inturn-secret_1"
"""The rules' vector: the header holds the very token."""


def verify(
    *headers: tuple[str, str], secrets: tuple[str, ...] = (SECRET,), query: str = ""
) -> bool:
    """Whether a request with these headers and ``?secret=`` is accepted."""
    asked = MultiDict({"secret": query} if query else {})
    request = WebhookRequest(body=b"{}", headers=CIMultiDict(headers), query=asked)
    return Telegram().verify(request, secrets)


@pytest.mark.parametrize("name", [HEADER, HEADER.lower(), HEADER.upper()])
def test_the_secret_token_is_accepted(name: str) -> None:
    """Equality is the whole proof, whatever the case of the header's name."""
    assert verify((name, SECRET))


def test_both_secrets_are_accepted_while_rotating() -> None:
    """Until Telegram is told the new one, it sends the old."""
    assert verify((HEADER, "old"), secrets=("new", "old"))
    assert verify((HEADER, "new"), secrets=("new", "old"))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((HEADER, ""),),
        ((HEADER, "wrong"),),
        ((HEADER, SECRET[:-1]),),
        ((HEADER, SECRET.upper()),),
        ((HEADER, f"Bearer {SECRET}"),),
        ((HEADER, "é🙂"),),
        ((HEADER, "\udcff"),),
        ((HEADER, SECRET), (HEADER, SECRET)),
        ((HEADER, SECRET), (HEADER.lower(), "wrong")),
        (("Authorization", f"Bearer {SECRET}"),),
        (("X-Api-Key", SECRET),),
    ],
)
def test_anything_else_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    """A wrong token, none, two, or the right one in another place prove nothing."""
    assert not verify(*headers)


def test_the_secret_in_the_url_is_no_proof() -> None:
    """Telegram has a header for it, and URLs end in logs."""
    assert not verify(query=SECRET)


def test_an_empty_secret_lets_nobody_in() -> None:
    """A secret that was set to nothing is matched by nothing."""
    assert not verify((HEADER, ""), secrets=("",))
    assert not verify((HEADER, SECRET), secrets=())


@given(value=st.text(), secret=st.text())
def test_verifying_never_raises(value: str, secret: str) -> None:
    """Whatever stands there, the answer is whether it is the same."""
    assert verify((HEADER, value), secrets=(secret,)) == (value == secret != "")
