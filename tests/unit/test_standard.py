"""Standard Webhooks and CloudEvents become messages, and what is none is counted by kind."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from shared.errors import RequestRefused
from shared.instance_settings import InstanceSettings
from shared.providers import Echo, Parsed, Recipient
from shared.providers.registry import provider_named
from shared.providers.standard import Standard
from shared.providers.standard_event import EVENTS_MAX
from shared.wire import decode_message, encode_message
from tests.support.parsing import INSTANCE, webhook_request
from tests.support.standard_payloads import (
    CLOUD_EVENT,
    GOOD,
    cloud_event,
    envelope,
    only_message,
    parse,
)


def refused(payload: Any, headers: dict[str, str] | None = None) -> RequestRefused:
    """How a request is refused."""
    with pytest.raises(RequestRefused) as caught:
        parse(payload, headers)
    return caught.value


@pytest.mark.parametrize(
    "payload, headers",
    [
        (GOOD, {}),
        ({"messages": [GOOD]}, {}),
        (envelope(GOOD), {}),
        (envelope({"messages": [GOOD]}), {}),
        (envelope([GOOD]), {}),
        ({"data": GOOD}, {}),
        (cloud_event(GOOD), CLOUD_EVENT),
        (cloud_event(GOOD), {}),
        (cloud_event({"messages": [GOOD]}), CLOUD_EVENT),
        (cloud_event(GOOD), {"Content-Type": "application/cloudevents+json; charset=utf-8"}),
        ([cloud_event(GOOD)], {"Content-Type": "application/cloudevents-batch+json"}),
        ([GOOD], {}),
        (
            cloud_event(None, data_base64=base64.b64encode(orjson.dumps(GOOD)).decode()),
            CLOUD_EVENT,
        ),
        (GOOD, {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/x", "ce-type": "y"}),
        (GOOD, {"ce-specversion": "1.0", "Content-Type": "application/vnd.hotel+json"}),
    ],
)
def test_a_message_is_read_in_every_envelope(payload: Any, headers: dict[str, str]) -> None:
    """Bare, in a Standard Webhook, and in each mode of CloudEvents it is the same message."""
    message = only_message(payload, headers)
    assert (message.instance, message.user, message.text) == (INSTANCE, "guest-7", "hi")
    assert message.message_id == "m-1"


def test_a_message_without_id_has_that_of_its_webhook() -> None:
    """``webhook-id`` is the same at each retry, so a retry is known."""
    data = {"user": "u", "text": "hi"}
    for name in ("webhook-id", "svix-id", "Webhook-Id"):
        assert only_message(envelope(data), {name: "msg_1"}).message_id == "msg_1"
        assert only_message(data, {name: "msg_1"}).message_id == "msg_1"


def test_of_two_names_the_signed_one_is_the_webhooks() -> None:
    """An unsigned id beside the signed one names nothing, or a stranger could choose it."""
    headers = {"webhook-id": "unsigned", "svix-id": "signed", "svix-signature": "v1,x"}
    assert only_message({"user": "u", "text": "hi"}, headers).message_id == "signed"


def test_an_id_that_is_no_utf_8_can_be_stored() -> None:
    """A header's stray bytes come as surrogates, which no JSON can hold."""
    said = {"user": "u", "text": "hi"}
    assert only_message(said, {"webhook-id": "msg\udcff"}).message_id == "msg\ufffd"
    event = {"ce-specversion": "1.0", "ce-id": "e\udcff", "ce-source": "/%ED%A0%80"}
    message = only_message(said, event)
    assert decode_message(message.instance, encode_message(message)) == message


def test_several_messages_of_one_webhook_are_told_apart() -> None:
    """Each has the webhook's id with its place, in the order in which they stand."""
    data = {"messages": [{"user": "u", "text": "one"}, {"user": "u", "text": "two"}]}
    parsed = parse(envelope(data), {"webhook-id": "msg_1"})
    assert [one.message_id for one in parsed.messages] == ["msg_1:0", "msg_1:1"]


def test_a_cloud_event_that_lacks_its_source_is_known_by_its_webhook() -> None:
    """A null attribute is none: without it a retry would be another message."""
    event = cloud_event({"user": "u", "text": "hi"}, source=None)
    assert only_message(event, {"webhook-id": "msg_1"}).message_id == "msg_1"


def test_a_cloud_event_is_known_by_source_and_id() -> None:
    """The same id of another source is another event; the webhook's id says nothing of it."""
    data = {"user": "u", "text": "hi"}
    message = only_message(cloud_event(data), {"webhook-id": "msg_1"})
    assert message.message_id == "/hotel/chat e-1"
    other = only_message(cloud_event(data, source="/bar"))
    assert other.message_id == "/bar e-1"
    binary = {"ce-specversion": "1.0", "ce-id": "e%201", "ce-source": "/caf%C3%A9"}
    assert only_message(data, binary).message_id == "/café e 1"


@pytest.mark.parametrize(
    "event, kind",
    [
        ("message.updated", "edit"),
        ("chat.message.Edited", "edit"),
        ("message_deleted", "deletion"),
        ("com.example.message-read", "receipt"),
        ("message.delivered", "receipt"),
        ("user.typing", "presence"),
    ],
)
def test_a_signal_is_counted_by_its_type(event: str, kind: str) -> None:
    """What happened to a message, or goes on beside it, is no message."""
    expected = Parsed(ignored={kind: 1})
    assert parse(envelope(GOOD, event)) == expected
    assert parse(cloud_event(GOOD, type=event), CLOUD_EVENT) == expected
    assert kind in Standard.ignored_kinds


@pytest.mark.parametrize("event", ["message.sent", "message.reply"])
def test_a_message_to_the_user_is_an_echo(event: str) -> None:
    """What the account said itself is told apart by its id: ours, or a person's."""
    parsed = parse(envelope(GOOD, event))
    assert parsed == Parsed(echoes=(Echo(instance=INSTANCE, user="guest-7", message_id="m-1"),))


@pytest.mark.parametrize("event", ["customer.reply", "user.replied", "message.replied"])
def test_a_users_reply_is_a_message(event: str) -> None:
    """Only ``message.reply`` is what we call our own."""
    assert only_message(envelope(GOOD, event)).message_id == "m-1"


@pytest.mark.parametrize(
    "data", [{"id": "r-1"}, {"user": " "}, {"user": "a\0b", "text": "x"}, "text", None, 5, [[]]]
)
def test_an_event_about_something_else_is_counted(data: Any) -> None:
    """It is answered 2xx: a refusal would bring it back for days."""
    assert parse(envelope(data, "room.created")).ignored == {"other": 1}
    assert parse(cloud_event(data, type="org.example.room"), CLOUD_EVENT).ignored == {"other": 1}


def test_a_user_who_says_nothing_is_no_message() -> None:
    """An order of a user's is not taken for a turn of a conversation."""
    order = {"user": "guest-7", "total": 5}
    assert parse(envelope(order, "order.created")).ignored == {"other": 1}


@pytest.mark.parametrize(
    "payload, field",
    [
        ({}, "user"),
        ({"text": "hi"}, "user"),
        (GOOD | {"user": "x" * 257}, "user"),
        (GOOD | {"user": "a\nb"}, "user"),
        ({"user": "u"}, "user"),
        ({"messages": 5}, "user"),
        ({"messages": [5]}, "user"),
        ("text", "the body"),
        (5, "the body"),
        (None, "the body"),
    ],
)
def test_a_bare_message_that_is_none_is_refused_by_field(payload: Any, field: str) -> None:
    """Without an envelope there is nothing else that it could be: 400 says what is missing."""
    refusal = refused(payload)
    assert (refusal.status, refusal.code) == (400, "invalid_payload")
    assert str(refusal).startswith(field)


def test_one_bad_message_of_several_costs_no_other() -> None:
    """It is counted; the others are kept."""
    parsed = parse({"messages": [GOOD, {"text": "hi"}, {"user": "u"}, 5]})
    assert [message.message_id for message in parsed.messages] == ["m-1"]
    assert parsed.ignored == {"malformed": 3}
    batch = parse([cloud_event(GOOD), "nonsense", {}], CLOUD_EVENT)
    assert [message.message_id for message in batch.messages] == ["m-1"]
    assert batch.ignored == {"malformed": 2}


@pytest.mark.parametrize(
    "media_type", ["application/cloudevents+xml", "application/cloudevents-batch+avro"]
)
def test_events_in_another_format_are_refused(media_type: str) -> None:
    """415 says that JSON is wanted."""
    assert refused(b"<event/>", {"Content-Type": media_type}).status == 415


def test_binary_data_that_is_no_json_is_refused() -> None:
    """In binary mode the data's own type is in ``Content-Type``."""
    headers = {"ce-specversion": "1.0", "Content-Type": "text/plain"}
    assert refused(b"hi", headers).status == 415
    assert parse(b"", {"ce-specversion": "1.0"}).ignored == {"other": 1}


def test_nothing_is_nothing() -> None:
    """An empty batch is answered like any other."""
    batches: tuple[Any, ...] = ([], {"messages": []}, envelope([]))
    for nothing in batches:
        assert parse(nothing) == Parsed()


def test_the_instance_is_asked_by_the_name_that_the_message_has() -> None:
    """Where a connection serves several, a message says whose it is; else the path does."""
    seen: list[str | None] = []

    def whose(account: str | None, _setting: str | None = None) -> Recipient | None:
        seen.append(account)
        return None if account == "bar" else Recipient(instance=account or INSTANCE)

    names: tuple[Any, ...] = ("bar", "desk", "\0", 5)
    named = [{**GOOD, "instance": name} for name in names]
    parsed = parse({"messages": named}, recipient_of=whose)
    assert seen == ["bar", "desk", None, None]
    assert parsed.ignored == {"other_account": 1}
    assert [message.instance for message in parsed.messages] == ["desk", INSTANCE, INSTANCE]


@pytest.mark.parametrize(
    "payload, name",
    [
        (GOOD | {"instance": "desk"}, "desk"),
        (envelope({"messages": [GOOD, {"instance": "desk"}]}), "desk"),
        ([cloud_event(GOOD | {"instance": "desk"})], "desk"),
        (GOOD, None),
        (envelope(None), None),
        ("x", None),
        (None, None),
    ],
)
def test_the_payload_names_its_instance(payload: Any, name: str | None) -> None:
    """The first message that names one, or None."""
    assert Standard().account_of(payload) == name


def greeting(method: str = "OPTIONS", **headers: str) -> Any:
    """The answer to a handshake."""
    request = webhook_request(b"", headers, method=method)
    return Standard().greet(request, InstanceSettings())


def test_the_handshake_of_cloud_events_is_answered() -> None:
    """Consent to deliveries repeats the origin and sets no rate."""
    answer = greeting(**{"WebHook-Request-Origin": "chat.example.org", "x": "y"})
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers == {
        "WebHook-Allowed-Origin": "chat.example.org",
        "WebHook-Allowed-Rate": "*",
        "Allow": "POST",
    }


@pytest.mark.parametrize("origin", ["", "café", "a\tb", "\udcff", "x" * 256])
def test_an_origin_that_no_header_can_repeat_is_not_answered(origin: str) -> None:
    """Nor is a request without one, or with another method."""
    assert greeting(**{"WebHook-Request-Origin": origin}) is None
    assert greeting() is None
    assert greeting(method="GET", **{"WebHook-Request-Origin": "chat.example.org"}) is None


def test_the_registry_holds_standard_by_its_name() -> None:
    """It is found by the name in the webhook's path."""
    assert isinstance(provider_named("standard"), Standard)


def test_a_batch_is_not_taken_apart_beyond_its_limit() -> None:
    """Nobody has proven anything when its account is looked for; a million events take seconds."""
    several: list[Any] = [{}] * (EVENTS_MAX - 1) + [{"instance": "desk", "user": "u", "text": "x"}]
    assert Standard().account_of(several) == "desk"
    assert len(parse(several).messages) == 1
    assert Standard().account_of([{}, *several]) is None
    with pytest.raises(RequestRefused) as refused:
        parse([{}, *several])
    assert (refused.value.status, refused.value.code) == (413, "too_many_messages")
