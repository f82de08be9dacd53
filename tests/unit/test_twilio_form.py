"""A Twilio request's fields, however they come: as a form, a query or JSON."""

from __future__ import annotations

import json

import pytest

from shared.errors import RequestRefused
from shared.model import Kind
from shared.providers.twilio import Twilio
from shared.providers.twilio_form import FIELDS_MAX
from tests.support.parsing import webhook_request
from tests.support.twilio_payloads import FORM, form, only_message, sms, whatsapp

JSON = {"Content-Type": "application/json"}


def test_a_form_a_query_and_json_say_the_same() -> None:
    """Twilio sends GET where a number is configured so; JSON comes from some products."""
    fields = whatsapp("grüße 🙂 & =+%")
    provider = Twilio()
    requests = [
        webhook_request(form(fields), FORM),
        webhook_request(form(fields)),
        webhook_request(b"From=x", query=form(fields).decode(), method="GET"),
        webhook_request(json.dumps(fields).encode(), JSON),
    ]
    for request in requests:
        assert provider.read(request) == fields


def test_of_a_field_that_comes_twice_the_first_counts() -> None:
    """And a query beside a form is not part of it."""
    request = webhook_request(b"From=a&From=b&Body=", FORM, query={"To": "c"})
    assert Twilio().read(request) == {"From": "a", "Body": ""}


@pytest.mark.parametrize(
    "body, fields",
    [
        (b"", {}),
        (b"&&", {}),
        (b"Body", {"Body": ""}),
        (b"Body=a=b", {"Body": "a=b"}),
        (b"Body=%", {"Body": "%"}),
        (b"Body=%zz", {"Body": "%zz"}),
        (b"Body=%ff", {"Body": "\ufffd"}),
        (b"Body=\xff", {"Body": "\ufffd"}),
        (b"Body=%ed%a0%80", {"Body": "\ufffd\ufffd\ufffd"}),
        (b"Body=a%00b", {"Body": "a\0b"}),
    ],
)
def test_damaged_forms_are_read_as_far_as_they_go(body: bytes, fields: dict[str, str]) -> None:
    """What is no UTF-8 is replaced."""
    assert Twilio().read(webhook_request(body, FORM)) == fields


@pytest.mark.parametrize(
    "body, headers",
    [(b"a=1&" * FIELDS_MAX, FORM), (b"[1]", JSON), (b"{", JSON)],
)
def test_what_cannot_be_a_form_is_refused(body: bytes, headers: dict[str, str]) -> None:
    """400: thousands of fields, or JSON that is no object."""
    with pytest.raises(RequestRefused) as caught:
        Twilio().read(webhook_request(body, headers))
    assert caught.value.status == 400


def test_json_values_of_any_type_are_read() -> None:
    """Numbers as their digits, and what is no text as none."""
    body = json.dumps(sms() | {"NumMedia": 0, "Body": ["x"], "FromCity": None}).encode()
    fields = Twilio().read(webhook_request(body, JSON))
    assert (fields["NumMedia"], fields["Body"], fields["FromCity"]) == ("0", "", "")
    assert only_message(fields).kind is Kind.TEXT
