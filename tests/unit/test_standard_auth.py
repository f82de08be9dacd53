"""Who may send to ``standard``: whoever signs with the secret, or shows it as a token."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from pydantic import ValidationError

from shared.instance_settings import InstanceSettings
from shared.providers import WebhookRequest
from shared.providers.standard import Standard

LIBRARY_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LIBRARY = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
LIBRARY_BODY = b'{"test": 2432232314}'
LIBRARY_NOW_S = 1614265330
"""The specification's own worked vector."""

SECOND_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SECOND = {
    "webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    "webhook-timestamp": "1649367553",
    "webhook-signature": "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
}
SECOND_BODY = b'{"email":"test@example.com","username":"test_user"}'
SECOND_NOW_S = 1649367553


def verify(
    headers: dict[str, str] | list[tuple[str, str]],
    body: bytes = LIBRARY_BODY,
    *,
    secrets: tuple[str, ...] = (LIBRARY_SECRET,),
    now_s: float = LIBRARY_NOW_S,
    query: str | None = None,
) -> bool:
    """Whether a request is vouched for."""
    given = MultiDict(parse_qsl(query or "", keep_blank_values=True))
    request = WebhookRequest(body=body, headers=CIMultiDict(headers), query=given)
    return Standard(now_s=lambda: now_s).verify(request, secrets)


def test_the_worked_vectors_are_accepted() -> None:
    """Those of two of the specification's libraries."""
    assert verify(LIBRARY)
    assert verify(SECOND, SECOND_BODY, secrets=(SECOND_SECRET,), now_s=SECOND_NOW_S)
    assert verify({name.title(): value for name, value in LIBRARY.items()})


def test_a_secret_may_stand_without_its_prefix() -> None:
    """Base64 is the key then too, and so are the letters of a secret that is none."""
    assert verify(LIBRARY, secrets=(LIBRARY_SECRET.removeprefix("whsec_"),))
    key = base64.b64decode(LIBRARY_SECRET.removeprefix("whsec_")).decode("latin-1")
    assert not verify(LIBRARY, secrets=(key,)), "it is no base64, and other bytes in UTF-8"


def test_the_same_headers_are_read_under_the_other_name() -> None:
    """Svix's senders call them ``svix-``; half of each is no signature."""
    svix = {name.replace("webhook", "svix"): value for name, value in LIBRARY.items()}
    assert verify(svix)
    assert not verify(svix | {"webhook-signature": "v1,wrong"})
    for name, value in svix.items():
        mixed = {key: value for key, value in svix.items() if key != name}
        assert not verify(mixed | {name.replace("svix", "webhook"): value})


def test_any_signature_of_a_known_version_is_enough() -> None:
    """A header holds several while keys rotate, also of versions that nobody here knows."""
    good = LIBRARY["webhook-signature"]
    for value in (f"v1,AAAA {good}", f"{good} v1a,hnO3f9T8Ytu9HwrX", f"v2,x v1a,y  {good}"):
        assert verify(LIBRARY | {"webhook-signature": value})
    digest = good.removeprefix("v1,")
    for value in (f"v2,{digest}", f"v1a,{digest}", digest, f"v1={digest}", f"v1,{digest},", "v1,"):
        assert not verify(LIBRARY | {"webhook-signature": value}), value


def test_any_of_the_secrets_is_accepted_while_rotating() -> None:
    """The old and the new one are both good, and nothing else is."""
    assert verify(LIBRARY, secrets=("new", LIBRARY_SECRET))
    assert not verify(LIBRARY, secrets=("new", SECOND_SECRET))
    assert not verify(LIBRARY, secrets=())


@pytest.mark.parametrize("age_s, good", [(299, True), (301, False), (-299, True), (-301, False)])
def test_a_signature_is_good_for_five_minutes(age_s: int, good: bool) -> None:
    """Either way, for clocks differ."""
    assert verify(LIBRARY, now_s=LIBRARY_NOW_S + age_s) == good


@pytest.mark.parametrize("stamp", ["", "soon", "1614265330.0", "+1614265330", " ", "9" * 400])
def test_a_time_is_digits(stamp: str) -> None:
    """Another spelling was not signed by any library."""
    assert not verify(LIBRARY | {"webhook-timestamp": stamp})


@pytest.mark.parametrize("name", LIBRARY)
def test_each_header_is_needed_once(name: str) -> None:
    """Missing or given twice it proves nothing."""
    assert not verify({key: value for key, value in LIBRARY.items() if key != name})
    assert not verify([*LIBRARY.items(), (name, LIBRARY[name])])
    assert not verify(LIBRARY | {name: LIBRARY[name] + "x"})


def test_the_signature_is_of_the_raw_bytes() -> None:
    """The same JSON with other spaces is another body."""
    assert not verify(LIBRARY, b'{"test":2432232314}')
    assert not verify(LIBRARY, b'{"test": 2432232314}\n')


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_secret_may_come_as_bearer(scheme: str) -> None:
    """Senders of CloudEvents sign nothing and show a token."""
    assert verify({"Authorization": f"{scheme} planted"}, secrets=("planted",))
    assert not verify({"Authorization": f"{scheme} wrong"}, secrets=("planted",))


@pytest.mark.parametrize("name", ["access_token", "secret"])
def test_the_secret_may_come_in_the_query(name: str) -> None:
    """``access_token`` is CloudEvents' name of it; given twice it is none."""
    assert verify({}, secrets=("planted",), query=f"{name}=planted")
    assert not verify({}, secrets=("planted",), query=f"{name}=wrong")
    assert not verify({}, secrets=("planted",), query=f"{name}=planted&{name}=planted")
    assert not verify({}, secrets=("",), query=f"{name}=")


def test_a_wrong_signature_is_not_mended_by_a_token() -> None:
    """Where there is a signature it decides."""
    headers = LIBRARY | {"Authorization": f"Bearer {LIBRARY_SECRET}"}
    assert verify(headers)
    assert not verify(headers, b"{}")


@pytest.mark.parametrize("field", ["secret", "token"])
@pytest.mark.parametrize("value", ["whsec_n*t-base64", "whsec_"])
def test_a_key_that_can_never_sign_is_told_at_the_start(field: str, value: str) -> None:
    """And not by a 401 for every webhook; the value itself is not shown."""
    own = {"provider": "standard", "base_url": "https://chat.example.org", field: value}
    with pytest.raises(ValidationError, match=f"{field}: .*(base64|empty)") as caught:
        InstanceSettings.model_validate(own)
    assert "n*t" not in str(caught.value.errors(include_input=False))
    good = own | {field: LIBRARY_SECRET}
    assert InstanceSettings.model_validate(good).provider == "standard"


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "authorization"]),
        st.sampled_from([*LIBRARY.values(), "v1,\udcff", "v1,é v1", ""]) | st.text(),
    ),
    st.text() | st.just("whsec_"),
)
def test_verifying_never_raises(headers: dict[str, str], secret: str) -> None:
    """Whatever headers and secrets hold, the answer is no."""
    assert verify(headers, secrets=(secret,)) in (True, False)
