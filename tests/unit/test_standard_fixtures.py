"""
The specifications' own examples, and what the rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. None is about a chat: they show the envelopes, so each is read twice, as it is and with a
message as its data. The expectations were reasoned from the rules by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.errors import RequestRefused
from shared.providers import Parsed
from shared.providers.standard import Standard
from tests.support.parsing import webhook_request
from tests.support.standard_payloads import GOOD, parse

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "standard"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}

ENVELOPES = {
    "01_standard_webhooks_example_event.json": ({}, 1_667_507_170_344, "msg_1"),
    "02_standard_webhooks_full_payload.json": ({}, 1_667_507_170_344, "msg_1"),
    "03_standard_webhooks_thin_payload.json": ({}, 1_667_507_170_344, "msg_1"),
    "05_cloudevents_structured_json_data.json": (
        STRUCTURED,
        1_522_949_460_000,
        "/mycontext C234-1234-1234",
    ),
    "09_cloudevents_xml_string_null_extension.json": (
        STRUCTURED,
        1_522_949_460_000,
        "/mycontext B234-1234-1234",
    ),
    "10_cloudevents_data_is_string.json": (
        STRUCTURED,
        1_522_949_460_000,
        "/mycontext D234-1234-1234",
    ),
}
"""Per example: its headers, its time, and what a message in it is known by."""

OTHERS = {
    "04_standard_webhooks_library_test_body.json",
    "06_cloudevents_batch.json",
    "07_cloudevents_binary_mode.http.txt",
    "08_standard_webhooks_headers.http.txt",
}


def load(name: str) -> Any:
    """An example's JSON."""
    return orjson.loads((FOLDER / name).read_bytes())


def head_of(name: str) -> tuple[dict[str, str], bytes]:
    """The headers of an example with headers, and its body."""
    head, _, body = (FOLDER / name).read_text().partition("\n\n")
    lines = (line.partition(":") for line in head.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}, body.encode()


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_example_is_an_event_about_something_else(name: str) -> None:
    """No user writes in any of them: it is counted and answered 2xx."""
    assert parse(load(name), ENVELOPES[name][0]) == Parsed(ignored={"other": 1})


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_examples_envelope_carries_a_message(name: str) -> None:
    """With a message as its data, time and id are the envelope's."""
    headers, sent_at, message_id = ENVELOPES[name]
    said = {"user": GOOD["user"], "text": GOOD["text"]}
    parsed = parse(load(name) | {"data": said}, headers | {"webhook-id": "msg_1"})
    (message,) = parsed.messages
    assert (message.text, message.sent_at) == ("hi", sent_at)
    assert message.message_id == message_id


def test_the_libraries_test_body_is_no_message() -> None:
    """It has no envelope and no field of a message: a mistake, and a 400."""
    with pytest.raises(RequestRefused) as caught:
        parse(load("04_standard_webhooks_library_test_body.json"))
    assert caught.value.status == 400


def test_the_batch_is_two_events() -> None:
    """Data that is Thrift, or only says it is base64, is counted like another event."""
    batch = load("06_cloudevents_batch.json")
    assert parse(batch, BATCH) == Parsed(ignored={"other": 2})
    batch[1]["data"] = {"user": "u", "text": "hi"}
    parsed = parse(batch, BATCH)
    assert [message.message_id for message in parsed.messages] == ["/mycontext/9 C234-1234-1234"]
    assert [message.sent_at for message in parsed.messages] == [1_522_949_465_000]
    assert parsed.ignored == {"other": 1}


def test_the_binary_event_is_read_from_its_headers() -> None:
    """Attributes stand in ``ce-`` headers, the body is the data."""
    headers, body = head_of("07_cloudevents_binary_mode.http.txt")
    assert parse(body, headers) == Parsed(ignored={"other": 1})
    (message,) = parse({"user": "u", "text": "hi"}, headers).messages
    assert message.message_id == "/mycontext C234-1234-1234"
    assert message.sent_at == 1_522_949_460_000


def test_the_examples_headers_are_read_and_prove_nothing() -> None:
    """Two signatures of two versions in one header; the secret was never published."""
    headers, _ = head_of("08_standard_webhooks_headers.http.txt")
    request = webhook_request(b"{}", headers)
    assert not Standard(now_s=lambda: 1_674_087_231).verify(request, ("guess",))
    (message,) = parse({"user": "u", "text": "hi"}, headers).messages
    assert message.message_id == "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    found = {path.name for path in FOLDER.iterdir() if path.name != "RULES.md"}
    assert found == ENVELOPES.keys() | OTHERS
