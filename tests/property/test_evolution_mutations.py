"""Whatever stands in a payload, Evolution's parser answers: parsed, or refused by a 400."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import RequestRefused
from shared.providers import Parsed
from shared.providers.evolution import IGNORED_KINDS, Evolution
from shared.wire import decode_entry, encode_message
from tests.support.evolution_payloads import (
    APIKEY,
    context_info,
    image_message,
    item,
    key,
    parse,
    text_item,
    webhook,
)

_CONTEXT = {"stanzaId": "3EB0QUOTED", "quotedMessage": {"conversation": "friday?"}}
_SEEDS = [
    webhook(text_item("hi", contextInfo=_CONTEXT)),
    webhook([text_item("hi"), text_item("ho", of=key(fromMe=True))]),
    webhook(item({"messageContextInfo": context_info()} | image_message("QUJD"), "imageMessage")),
    webhook(item({"audioMessage": {"seconds": 3}, "speechToText": "call me"})),
    webhook(item({"viewOnceMessage": {"message": image_message({"0": 65})}, "base64": "QUJD"})),
    webhook(
        item({"locationMessage": {"degreesLatitude": 1.5, "degreesLongitude": 2, "name": "P"}})
    ),
    webhook(item({"contactsArrayMessage": {"contacts": [{"displayName": "B", "vcard": "V"}]}})),
    webhook(item({"listResponseMessage": {"singleSelectReply": {"selectedRowId": "5"}}})),
    webhook(item({"interactiveResponseMessage": {"body": {"text": "Book"}}})),
    webhook(text_item(messageTimestamp={"low": 5, "high": 0, "unsigned": True})),
    webhook({"type": "notify", "messages": [text_item()]}),
    webhook([text_item()], event="messages.set"),
    webhook({"state": "open"}, event="connection.update"),
]

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["@s.whatsapp.net", "1@lid", "1:2@g.us", "append", "messages.upsert", "true"])
)
_NAMES = st.sampled_from(
    [
        "key",
        "id",
        "message",
        "messages",
        "type",
        "base64",
        "apikey",
        "low",
        "high",
        "0",
        "caption",
        "ephemeralMessage",
        "data",
        "text",
        "conversation",
        "imageMessage",
        "protocolMessage",
    ]
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        yield (*path, name)
        if isinstance(member, dict | list):
            yield from _places(member, (*path, name))


def _change(payload: Any, how: str, path: tuple[Any, ...], value: Any) -> None:
    *parents, last = path
    holder = payload
    for name in parents:
        holder = holder[name]
    if how == "drop":
        del holder[last]
    elif how == "nest":
        holder[last] = {"message": holder[last]}
    elif how == "repeat":
        holder[last] = [holder[last], holder[last]]
    else:
        holder[last] = value


@st.composite
def _mutated(draw: st.DrawFn) -> Any:
    payload = copy.deepcopy(draw(st.sampled_from(_SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(payload))
        if not places:
            break
        how = draw(st.sampled_from(["drop", "nest", "repeat", "retype", "retype"]))
        _change(payload, how, draw(st.sampled_from(places)), draw(_VALUES))
    return payload


def _parse_or_refuse(payload: Any, inline_bytes: int) -> Parsed | None:
    try:
        return parse(payload, media_inline_bytes=inline_bytes, store_raw=True)
    except RequestRefused:
        return None


@settings(max_examples=400, deadline=None)
@given(payload=_mutated(), inline_bytes=st.sampled_from([0, 2, 262_144]))
@example(payload=webhook(item({"ephemeralMessage": {"message": {}}})), inline_bytes=0)
def test_a_mutated_payload_is_parsed_or_refused(payload: Any, inline_bytes: int) -> None:
    """Dropped, retyped, nested and repeated fields: nothing but a result or a 400 comes out."""
    before = copy.deepcopy(payload)
    parsed = _parse_or_refuse(payload, inline_bytes)
    assert payload == before, "parsing must not change the payload"
    if parsed is None:
        return
    assert parsed.ignored.keys() <= IGNORED_KINDS
    for message in parsed.messages:
        stored = encode_message(message)
        assert APIKEY.encode() not in stored
        entry = decode_entry(message.instance, b"1-0", [b"m", stored])
        assert entry.message.message_id == message.message_id
        assert entry.message.user == message.user


@settings(max_examples=200, deadline=None)
@given(payload=_VALUES)
def test_any_json_is_parsed_or_refused(payload: Any) -> None:
    """JSON that has nothing to do with Evolution is refused, not a crash."""
    parsed = _parse_or_refuse(payload, 0)
    assert parsed is None or not parsed.messages
    assert isinstance(Evolution().account_of(payload), str | None)
