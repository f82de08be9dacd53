"""
An ordinary text to a phone number, read straight into what is asked of it: most webhooks are one.

What ``read_item`` looks for and does not find here (wrappers, files, echoes, history, groups) has
no place in this form, so nothing is looked for. Whatever is not of the form, or would not simply
be a message, is None here and goes the way of all payloads. Both ways give the same message.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from shared.model import Kind, Message
from shared.payload import JSON_DEPTH_MAX, count_containers
from shared.providers import ParseOptions, Recipient
from shared.providers.evolution_address import PHONE, user_of, without_device
from shared.providers.evolution_message import NAME
from shared.providers.values import ID_MAX_CHARS, first_text, integer_of, seconds_in_ms

_MAX_BYTES = 16_384
"""A text has 4,096 characters at most; what is larger holds something else."""


class _Key(Struct, rename="camel", gc=False):
    id: str
    remote_jid: str
    from_me: bool = False


class _Text(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    conversation: str
    message_context_info: Raw = Raw()


class _Context(Struct, rename="camel", gc=False):
    stanza_id: str | None = None


class _Item(Struct, rename="camel", gc=False):
    key: _Key
    message: _Text
    message_timestamp: int | None = None
    push_name: str | None = None
    context_info: _Context | None = None
    type: str | None = None


class PlainText(Struct, gc=False):
    """A ``messages.upsert`` of one such message, still unjudged."""

    event: Literal["messages.upsert"]
    data: _Item
    instance: str | None = None
    type: str | None = None


_decode = msgspec.json.Decoder(PlainText).decode


def read_plain(body: bytes) -> PlainText | None:
    """``body``, if it is JSON of this form, in valid UTF-8 and no deeper than any other may be."""
    if len(body) > _MAX_BYTES or count_containers(body) > JSON_DEPTH_MAX:
        return None
    try:
        body.decode()  # msgspec does not look at the bytes of what is not asked for
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def message_of(plain: PlainText, recipient: Recipient, options: ParseOptions) -> Message | None:
    """The message; None: it is to be counted or refused, or is wanted with all that it came in."""
    item = plain.data
    key = item.key
    if key.from_me or recipient.store_raw or "append" in (plain.type, item.type):
        return None
    if not 0 < len(key.id) <= ID_MAX_CHARS or key.id.isspace():
        return None
    jid = without_device(key.remote_jid)
    sent_at = seconds_in_ms(integer_of(item.message_timestamp))
    if jid is None or not jid.endswith(PHONE):
        return None
    if sent_at is not None and options.received_at - sent_at > options.max_age_ms:
        return None
    context = item.context_info
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=user_of(jid),
        message_id=key.id,
        text=item.message.conversation,
        kind=Kind.TEXT,
        sent_at=sent_at,
        received_at=options.received_at,
        quoted=(first_text(context.stanza_id) or None) if context else None,
        name=first_text(item.push_name) or None,
        reply_to=jid,
        provider=NAME,
    )
