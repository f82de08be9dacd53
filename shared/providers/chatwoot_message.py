"""
One ``message_created`` of Chatwoot: a contact's turn, an agent's answer, or neither.

The message stands at the top, its conversation under it, and in ``conversation.messages`` once
more in another spelling (numbers for types and times). Proxies and older versions send less, so
whatever is missing at the top is looked for there. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from shared.model import Group, Message
from shared.providers import Echo, ParseOptions, Recipient
from shared.providers.chatwoot_content import Piece, pieces_of
from shared.providers.evidence import only_value
from shared.providers.raw import storable
from shared.providers.values import (
    first_text,
    hashed_id,
    identifier_of,
    integer_of,
    is_true,
    object_of,
    seconds_in_ms,
    text_of,
)

NAME = "chatwoot"

MESSAGE_KINDS = frozenset(
    {"private_note", "template", "activity", "bot", "group", "broadcast", "newsletter", "malformed"}
    | {"other"}
)
"""Every kind that ``read_message`` may count a message as."""

_TYPES = {"0": "incoming", "1": "outgoing", "2": "activity", "3": "template"}
_WITH_THE_BOT = "pending"
_PHONE_DOMAINS = ("s.whatsapp.net", "c.us")
_CHAT_DOMAINS = {"g.us": "group", "broadcast": "broadcast", "newsletter": "newsletter"}
_WRITTEN_BY_A_RULE = ("automation_rule_id", "campaign_id")


def inbox_of(payload: dict[str, Any]) -> str | None:
    """The id of the inbox that an event is about, if it names one."""
    places = (object_of(payload.get("inbox")).get("id"), payload.get("inbox_id"))
    conversation = object_of(payload.get("conversation"))
    return _first_id(*places, conversation.get("inbox_id")) or None


def is_of_another_tenant(payload: dict[str, Any], recipient: Recipient) -> bool:
    """
    Whether it is from another of Chatwoot's accounts than replies are sent to: a bot may serve all.

    Each counts its conversations anew: the answer would be told to somebody else.
    """
    told = identifier_of(object_of(payload.get("account")).get("id"))
    return bool(told and recipient.tenant) and told != recipient.tenant


def read_message(
    payload: dict[str, Any], recipient: Recipient, options: ParseOptions
) -> tuple[Message, ...] | Echo | str:
    """The contact's message with its files; an agent's; or the kind it is ignored as."""
    conversation = object_of(payload.get("conversation"))
    again = _repeated(payload, conversation)
    way = way_of(payload, again)
    if way not in ("incoming", "outgoing"):
        return way
    if is_true(payload.get("private")) or is_true(again.get("private")):
        return "private_note"
    contacts = list(_contacts(payload, conversation, again, incoming=way == "incoming"))
    sources = _sources(conversation, again)
    user = _user_of(sources, contacts, conversation)
    if not user:
        return "malformed"
    chat, domain = _chat_of(sources, contacts)
    if domain and (domain != "g.us" or not recipient.groups):
        return _CHAT_DOMAINS[domain]
    group = Group(id=chat, author=_author_of(contacts, chat)) if domain else None
    if group is not None:
        user = f"{group.id}/{group.author}"
    message_id = _message_id(payload, again, options)
    if way == "outgoing":
        if not _is_a_persons(payload, again):
            return "bot"
        return Echo(instance=recipient.instance, user=user, message_id=message_id)
    made = _Made(payload, again, conversation, recipient, options)
    pieces = pieces_of(payload, again)
    return tuple(made.message(piece, user, group, message_id) for piece in pieces)


class _Made:
    """What all messages of one event have in common."""

    def __init__(
        self,
        payload: dict[str, Any],
        again: dict[str, Any],
        conversation: dict[str, Any],
        recipient: Recipient,
        options: ParseOptions,
    ) -> None:
        self._recipient = recipient
        self._options = options
        self._sent_at = _ms_of(payload.get("created_at")) or _ms_of(again.get("created_at"))
        self._quoted = _quoted(payload) or _quoted(again)
        self._name = _name_of(payload, conversation, again)
        self._reply_to = _conversation_id(conversation, again) or None
        status = first_text(conversation.get("status")).strip().lower()
        self._with_human = status not in ("", _WITH_THE_BOT)
        self._raw = storable(payload, options.media_inline_bytes) if recipient.store_raw else None

    def message(self, piece: Piece, user: str, group: Group | None, message_id: str) -> Message:
        """One of the event's pieces as a message; the first carries the event's own id."""
        return Message(
            instance=self._recipient.instance,
            connection=self._recipient.connection,
            user=user,
            message_id=f"{message_id}:{piece.number}" if piece.number else message_id,
            text=piece.text,
            kind=piece.kind,
            sent_at=self._sent_at,
            received_at=self._options.received_at,
            media=piece.media,
            quoted=self._quoted,
            name=self._name,
            reply_to=self._reply_to,
            provider=NAME,
            group=group,
            with_human=self._with_human,
            raw=None if piece.number else self._raw,
        )


def _repeated(payload: dict[str, Any], conversation: dict[str, Any]) -> dict[str, Any]:
    """The same message as it stands among the conversation's; empty where it does not."""
    listed = conversation.get("messages")
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    own_id = text_of(payload.get("id"))
    if own_id:
        found = [each for each in found if text_of(each.get("id")) == own_id]
    return found[0] if len(found) == 1 else {}


def way_of(payload: dict[str, Any], again: dict[str, Any]) -> str:
    """``incoming``, ``outgoing``, or the kind that the message counts as."""
    name = first_text(payload.get("message_type"), again.get("message_type")).strip().lower()
    name = _TYPES.get(name, name)
    return name if name in _TYPES.values() else "other"


def _sources(conversation: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """The contact's id at the channel itself: a phone, a chat, an address, or a widget's token."""
    inner = object_of(again.get("conversation"))
    boxes = (object_of(place.get("contact_inbox")) for place in (conversation, inner))
    return [text for box in boxes if (text := identifier_of(box.get("source_id")))]


def _contacts(
    payload: dict[str, Any],
    conversation: dict[str, Any],
    again: dict[str, Any],
    *,
    incoming: bool,
) -> Iterator[dict[str, Any]]:
    """Where the contact may stand; the ``sender`` of what goes out is somebody else."""
    if incoming:
        yield object_of(payload.get("sender"))
    yield object_of(object_of(conversation.get("meta")).get("sender"))
    yield object_of(payload.get("contact"))
    if incoming:
        yield object_of(again.get("sender"))
        yield {"id": again.get("sender_id")}
    yield {"id": object_of(conversation.get("contact_inbox")).get("contact_id")}


def _user_of(
    sources: list[str], contacts: list[dict[str, Any]], conversation: dict[str, Any]
) -> str:
    if sources:
        return _normalised(sources[0])
    for contact in contacts:
        user = _first_id(contact.get("id"), contact.get("identifier"))
        if user:
            return _normalised(user)
        if phone := identifier_of(contact.get("phone_number")):
            return phone.removeprefix("+")
    number = _conversation_id(conversation, {})
    return f"conversation:{number}" if number else ""


def _normalised(text: str) -> str:
    """One spelling of a WhatsApp user, whichever bridge put it into Chatwoot."""
    name, at, domain = text.partition("@")
    if domain in _PHONE_DOMAINS:
        return name.partition(":")[0] or text
    if domain == "lid":
        return f"{name.partition(':')[0]}{at}{domain}"
    digits = text.removeprefix("whatsapp:+")
    return digits if digits != text and digits.isdigit() else text


def _chat_of(sources: list[str], contacts: list[dict[str, Any]]) -> tuple[str, str]:
    """The group or channel behind the contact that a bridge made of it, and its domain."""
    named = [*sources, *(identifier_of(contact.get("identifier")) for contact in contacts)]
    for contact in contacts:
        attributes = object_of(contact.get("custom_attributes"))
        named.append(identifier_of(attributes.get("waha_whatsapp_chat_id")))
    for text in named:
        domain = text.rpartition("@")[2] if "@" in text else ""
        if domain in _CHAT_DOMAINS:
            return text, domain
    return "", ""


def _author_of(contacts: list[dict[str, Any]], chat: str) -> str:
    """Chatwoot has one contact for a whole group: that one is all there is to name."""
    return _first_id(*(contact.get("id") for contact in contacts)) or chat


def _is_a_persons(payload: dict[str, Any], again: dict[str, Any]) -> bool:
    """
    Whether an agent wrote it, or somebody at the connected phone (``external_echo``).

    Rules and campaigns write in an agent's name. Our own replies are a user's or a bot's, by whose
    token it is: those of a bot are told apart here, those of a user by their remembered ids.
    """
    names = ("content_attributes", "additional_attributes")
    noted = [object_of(each.get(name)) for each in (payload, again) for name in names]
    if any(first_text(each.get(name)) for each in noted for name in _WRITTEN_BY_A_RULE):
        return False
    kinds = (object_of(payload.get("sender")).get("type"), again.get("sender_type"))
    kind = first_text(*kinds, object_of(again.get("sender")).get("type")).strip().lower()
    return kind == "user" or any(is_true(each.get("external_echo")) for each in noted)


def _message_id(payload: dict[str, Any], again: dict[str, Any], options: ParseOptions) -> str:
    """
    Chatwoot's number of the message; where it is cut out, the channel's, the delivery's, a hash.

    A delivery keeps its number when it is tried again.
    """
    if own := _first_id(payload.get("id"), again.get("id")):
        return own
    if channels := _first_id(payload.get("source_id"), again.get("source_id")):
        return f"source:{channels}"
    if delivery := identifier_of(only_value(options.request.headers, "x-chatwoot-delivery")):
        return f"delivery:{delivery}"
    return hashed_id(payload)


def _conversation_id(conversation: dict[str, Any], again: dict[str, Any]) -> str:
    names = (conversation.get("id"), conversation.get("display_id"))
    return _first_id(*names, again.get("conversation_id"))


def _quoted(message: dict[str, Any]) -> str | None:
    return identifier_of(object_of(message.get("content_attributes")).get("in_reply_to")) or None


def _name_of(
    payload: dict[str, Any], conversation: dict[str, Any], again: dict[str, Any]
) -> str | None:
    people = _contacts(payload, conversation, again, incoming=True)
    return first_text(*(person.get("name") for person in people)) or None


def _first_id(*values: Any) -> str:
    return next(filter(None, map(identifier_of, values)), "")


def _ms_of(value: Any) -> int | None:
    """A point in time that stands as ISO text (older: ``... UTC``) or as seconds, in ms."""
    if (seconds := integer_of(value)) is not None:
        return seconds_in_ms(seconds)
    try:
        moment = datetime.fromisoformat(text_of(value).strip().removesuffix(" UTC"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        sent_at = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return sent_at if sent_at > 0 else None
