"""
The form of ``POST /api/v1/messages``: strict, and every error names its field.

A message alone, ``{"instance", "user", "text", ...}``, or ``{"messages": [...]}``. A field that
nobody knows is an error and not ignored: a misspelt ``sent_at`` would silently lose the order.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
import uuid
from typing import Any

from shared.errors import RequestRefused
from shared.keys import is_instance_name
from shared.model import Kind, Media, Message

USER_MAX_CHARS = 256
ID_MAX_CHARS = 512
NAME_MAX_CHARS = 1024
URL_MAX_CHARS = 8192
TIME_MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, and far inside what JSON numbers carry exactly."""

MESSAGE_FIELDS = frozenset(
    {"instance", "user", "text", "message_id", "sent_at", "kind", "media", "quoted", "name"}
)
_MEDIA_FIELDS = frozenset(Media.__struct_fields__)
KINDS = {kind.value: kind for kind in Kind}
_KIND_OF_MIME = {"image": Kind.IMAGE, "audio": Kind.AUDIO, "video": Kind.VIDEO}


def is_user(text: str) -> bool:
    """Whether it can name a user: not blank, no control characters, not too long."""
    has_control = any(unicodedata.category(char) == "Cc" for char in text)
    return bool(text.strip()) and not has_control and len(text) <= USER_MAX_CHARS


def kind_of_media(media: Media) -> Kind:
    """What a message with ``media`` is, where it does not say so itself."""
    return _KIND_OF_MIME.get((media.mime or "").partition("/")[0], Kind.DOCUMENT)


def read_messages(
    payload: Any, *, received_at: int, media_inline_bytes: int
) -> tuple[Message, ...]:
    """
    The messages that a request's JSON holds, in its order.

    A message without an id gets one here, so that a retry between us and Redis is safe.
    Media larger than ``media_inline_bytes`` is cut out and marked ``omitted``.

    Raises:
        RequestRefused: 400, naming the field, as in ``messages[2].user``.
    """
    if not isinstance(payload, dict):
        raise _refusal("invalid_field", "the body must be a JSON object")
    if "messages" not in payload:
        return (_read_message(payload, "", received_at, media_inline_bytes),)
    _Fields(payload, "").refuse_unknown(frozenset({"messages"}))
    items = payload["messages"]
    if not isinstance(items, list) or not items:
        raise _refusal("invalid_field", "messages must be a list with at least one message")
    messages = []
    for index, item in enumerate(items):
        where = f"messages[{index}]"
        if not isinstance(item, dict):
            raise _refusal("invalid_field", f"{where} must be a JSON object")
        messages.append(_read_message(item, f"{where}.", received_at, media_inline_bytes))
    return tuple(messages)


def _read_message(
    item: dict[str, Any], path: str, received_at: int, media_inline_bytes: int
) -> Message:
    fields = _Fields(item, path)
    fields.refuse_unknown(MESSAGE_FIELDS)
    instance = fields.required("instance", USER_MAX_CHARS)
    if not is_instance_name(instance):
        raise fields.invalid("instance", "must have 1 to 128 characters, no control characters")
    user = fields.required("user", USER_MAX_CHARS)
    if not is_user(user):
        raise fields.invalid("user", "must not be blank or hold control characters")
    media = _read_media(fields, media_inline_bytes)
    kind = _read_kind(fields, media)
    return Message(
        instance=instance,
        user=user,
        message_id=fields.text("message_id", ID_MAX_CHARS) or f"api_{uuid.uuid4().hex}",
        text=_read_text(fields, kind, media),
        kind=kind,
        sent_at=fields.integer("sent_at", TIME_MAX_MS),
        received_at=received_at,
        media=media,
        quoted=fields.text("quoted", ID_MAX_CHARS),
        name=fields.text("name", NAME_MAX_CHARS),
    )


def _read_text(fields: _Fields, kind: Kind, media: Media | None) -> str:
    text = fields.text("text", None, blank=True)
    if kind is Kind.TEXT and media is None and not text:
        if text is None:
            raise fields.missing("text")
        raise fields.invalid("text", "must not be empty in a message of kind text")
    return text or ""


def _read_kind(fields: _Fields, media: Media | None) -> Kind:
    name = fields.text("kind", ID_MAX_CHARS)
    if name is None:
        return Kind.TEXT if media is None else kind_of_media(media)
    if name not in KINDS:
        raise fields.invalid("kind", f"must be one of {', '.join(KINDS)}")
    return KINDS[name]


def _read_media(message: _Fields, media_inline_bytes: int) -> Media | None:
    item = message.values.get("media")
    if item is None:
        return None
    if not isinstance(item, dict):
        raise message.invalid("media", "must be a JSON object")
    fields = _Fields(item, f"{message.path}media.")
    fields.refuse_unknown(_MEDIA_FIELDS)
    data, size_bytes = _read_data(fields, media_inline_bytes)
    was_cut = data is None and size_bytes is not None
    declared = fields.integer("size_bytes", TIME_MAX_MS)
    return Media(
        url=fields.text("url", URL_MAX_CHARS),
        id=fields.text("id", URL_MAX_CHARS),
        mime=fields.text("mime", NAME_MAX_CHARS),
        caption=fields.text("caption", None, blank=True),
        name=fields.text("name", NAME_MAX_CHARS),
        size_bytes=size_bytes if declared is None else declared,
        duration_s=fields.integer("duration_s", TIME_MAX_MS),
        data=data,
        omitted=fields.flag("omitted") or was_cut,
    )


def _read_data(fields: _Fields, media_inline_bytes: int) -> tuple[str | None, int | None]:
    """The base64 to keep and the size it stands for; None and a size: it is too large to keep."""
    data = fields.text("data", None)
    if data is None:
        return None, None
    size_bytes = len(data) * 3 // 4 - data.count("=", -2)
    if size_bytes > media_inline_bytes:
        return None, size_bytes
    try:
        return data, len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise fields.invalid("data", "must be base64") from error


class _Fields:
    """A JSON object whose errors name the path of their field. null means absent."""

    def __init__(self, values: dict[str, Any], path: str) -> None:
        self.values = values
        self.path = path

    def refuse_unknown(self, known: frozenset[str]) -> None:
        for name in self.values:
            if name not in known:
                names = ", ".join(sorted(known))
                message = f"{self.path}{_shown(name)} is not known here; known: {names}"
                raise _refusal("unknown_field", message)

    def required(self, name: str, max_chars: int) -> str:
        value = self.text(name, max_chars)
        if value is None:
            raise self.missing(name)
        return value

    def text(self, name: str, max_chars: int | None, *, blank: bool = False) -> str | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.invalid(name, "must be a text")
        if not value and not blank:
            raise self.invalid(name, "must not be empty")
        if max_chars is not None and len(value) > max_chars:
            raise self.invalid(name, f"must not exceed {max_chars} characters")
        return value

    def integer(self, name: str, maximum: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        # JSON knows one sort of number: 1.0 is as whole as 1. A bool is an int in Python alone.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
            unit = " of milliseconds since 1970" if name == "sent_at" else ""
            raise self.invalid(name, f"must be a whole number{unit} from 0 to {maximum}")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.invalid(name, "must be true or false")
        return bool(value)

    def invalid(self, name: str, claim: str) -> RequestRefused:
        return _refusal("invalid_field", f"{self.path}{name} {claim}")

    def missing(self, name: str) -> RequestRefused:
        return _refusal("missing_field", f"{self.path}{name} is missing")


def _shown(name: str) -> str:
    return name if len(name) <= 64 and name.isprintable() else "a field"


def _refusal(code: str, message: str) -> RequestRefused:
    return RequestRefused(400, code, message)
