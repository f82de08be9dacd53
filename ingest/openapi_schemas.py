"""The JSON Schemas of what the API takes and answers, as ``/openapi.json`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.keys import INSTANCE_MAX_CHARS
from shared.message_form import (
    ID_MAX_CHARS,
    NAME_MAX_CHARS,
    TIME_MAX_MS,
    URL_MAX_CHARS,
    USER_MAX_CHARS,
)
from shared.model import ClosedBy, Kind
from shared.on_human import MINUTES_MAX
from shared.trace.whereabouts import ReplyState, State, WindowState

Schema = dict[str, Any]

NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
VISIBLE = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
_BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_ENTRY_ID = r"^[0-9]+-[0-9]+$"
_WINDOW_ID = r"^w_[a-z2-7]{26}$"


def reference(name: str) -> Schema:
    """To one of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def _text(meaning: str, longest: int | None = None, **more: Any) -> Schema:
    limit = {} if longest is None else {"maxLength": longest}
    return {"type": "string", "description": meaning, **limit, **more}


def _optional(schema: Schema) -> Schema:
    """``null`` is as good as absent."""
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: list[str], properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def _count(meaning: str, unit_max: int = TIME_MAX_MS) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": unit_max, "description": meaning}


def _id(meaning: str, longest: int = ID_MAX_CHARS) -> Schema:
    return _text(meaning, longest, minLength=1)


INSTANCE = _text(
    "which of your accounts, numbers or bots", INSTANCE_MAX_CHARS, minLength=1, pattern=NO_CONTROL
)
USER = _text("who writes", USER_MAX_CHARS, minLength=1, pattern=VISIBLE)
MESSAGE_ID = _id("what dedupe compares; without one each request is a new message")

_MEDIA = _object(
    [],
    {
        "url": _optional(_id("where to fetch it", URL_MAX_CHARS)),
        "id": _optional(_id("the provider's id, to fetch it by", URL_MAX_CHARS)),
        "mime": _optional(_id("its type, as image/jpeg", NAME_MAX_CHARS)),
        "caption": _optional(_text("what the user wrote beside it")),
        "name": _optional(_id("the file's name", NAME_MAX_CHARS)),
        "size_bytes": _optional(_count("how large it is")),
        "duration_s": _optional(_count("how long it plays")),
        "data": _optional(
            _text(
                "its bytes as base64; cut out above INTURN_MEDIA_INLINE_BYTES",
                minLength=1,
                pattern=_BASE64,
            )
        ),
        "omitted": _optional({"type": "boolean", "description": "its bytes were cut out"}),
    },
)

_MESSAGE_FIELDS: Mapping[str, Schema] = {
    "instance": INSTANCE,
    "user": USER,
    "text": _optional(_text("what the user wrote")),
    "message_id": _optional(MESSAGE_ID),
    "sent_at": _optional(_count("when, in ms since 1970")),
    "kind": {"enum": [*(kind.value for kind in Kind), None]},
    "media": {"anyOf": [reference("Media"), {"type": "null"}]},
    "quoted": _optional(_id("the id of the message that this one answers")),
    "name": _optional(_id("what the user is called", NAME_MAX_CHARS)),
}


def _message_with(**narrower: Schema) -> Schema:
    """One form of a message: it has these fields, each as ``narrower`` says."""
    required = ["instance", "user", *narrower]
    return _object(required, {**_MESSAGE_FIELDS, **narrower})


_MESSAGE = {
    "description": "A text, a file, or something of another kind.",
    "anyOf": [
        _message_with(text=_text("what the user wrote", minLength=1)),
        _message_with(media=reference("Media")),
        _message_with(kind={"enum": [kind.value for kind in Kind if kind is not Kind.TEXT]}),
    ],
}

_ACCEPTED = _object(
    ["message_id", "entry_id", "duplicate", "spooled"],
    {
        "message_id": {"type": "string"},
        "entry_id": {"type": ["string", "null"], "pattern": _ENTRY_ID},
        "duplicate": {"type": "boolean", "description": "it was kept before"},
        "spooled": {"type": "boolean", "description": "it is on disk until Redis takes it"},
    },
)

_REPLY = _object(
    ["reply_id", "window_id", "state"],
    {
        "reply_id": {"type": "string", "pattern": _ENTRY_ID},
        "window_id": {"type": "string", "pattern": _WINDOW_ID},
        "state": {"enum": [state.value for state in ReplyState]},
        "texts": {"type": "array", "items": {"type": "string"}},
        "metadata": {"type": "object"},
        "held": {"type": "string", "description": "why it waits for a person"},
        "error": {"type": "string", "description": "why the last try came to nothing"},
        "at": {"type": "integer", "description": "when it was sent or given up"},
        "attempt": {"type": "integer"},
        "retry_at": {"type": "integer", "description": "ms since 1970"},
    },
)

_PAUSED_SINCE = {"type": "integer", "description": "it waits: its instance is paused"}

_WHERE: Mapping[str, Schema] = {
    "state": {"enum": [state.value for state in State]},
    "entry_id": {"type": "string", "pattern": _ENTRY_ID},
    "message_id": {"type": "string"},
    "window_id": {"type": "string", "pattern": _WINDOW_ID},
    "at": {"type": "integer", "description": "since when, in ms since 1970"},
    "attempt": {"type": "integer"},
    "retry_at": {"type": "integer", "description": "ms since 1970"},
    "error": {"type": "string"},
    "behind": {"type": "string", "description": "the window that it waits for"},
    "dead_letter_id": {"type": "string"},
    "accepted_at": {"type": "integer"},
    "opened_at": {"type": "integer"},
    "closed_at": {"type": "integer"},
    "closed_by": {"enum": [reason.value for reason in ClosedBy]},
    "started_at": {"type": "integer", "description": "the newest attempt"},
    "paused_since": _PAUSED_SINCE,
    "text": {"type": "string", "description": "with `texts=1`, as long as it is kept"},
    "failures": {
        "type": "array",
        "items": _object(
            ["attempt", "error"],
            {
                "attempt": {"type": "integer"},
                "error": {"type": "string"},
                "at": {"type": "integer"},
            },
        ),
    },
}

_WINDOW = _object(
    ["window_id", "state", "opened_at", "messages"],
    {
        "window_id": {"type": "string", "pattern": _WINDOW_ID},
        "state": {"enum": [state.value for state in WindowState]},
        "opened_at": {"type": "integer"},
        "messages": {"type": "integer"},
        "due_at": {"type": "integer", "description": "it closes then, or is tried again"},
        "attempt": {"type": "integer"},
        "paused_since": _PAUSED_SINCE,
    },
)

_DEAD = _object(
    ["dead_letter_id", "window_id", "error", "attempts", "message_ids"],
    {
        "dead_letter_id": {"type": "string", "description": "what `inturn dead replay` takes"},
        "window_id": {"type": "string", "pattern": _WINDOW_ID},
        "error": {"type": "string"},
        "attempts": {"type": "integer"},
        "message_ids": {"type": "array", "items": {"type": "string"}},
    },
)

_WHOSE: Mapping[str, Schema] = {"instance": {"type": "string"}, "user": {"type": "string"}}


def _list_of(name: str, **more: Any) -> Schema:
    return {"type": "array", "items": reference(name), **more}


SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(
        ["error"],
        {
            "error": _object(
                ["code", "message"],
                {
                    "code": {"type": "string", "description": "for programs"},
                    "message": {"type": "string", "description": "for people"},
                },
            )
        },
    ),
    "Media": _MEDIA,
    "Message": _MESSAGE,
    "Messages": {
        "anyOf": [
            reference("Message"),
            _object(
                ["messages"],
                {"messages": _list_of("Message", minItems=1)},
            ),
        ]
    },
    "Accepted": _object(["accepted"], {"accepted": _list_of("AcceptedMessage")}),
    "AcceptedMessage": _ACCEPTED,
    "Taken": _object(
        ["accepted", "ignored"],
        {
            "accepted": _list_of("AcceptedMessage"),
            "ignored": {
                "type": "object",
                "description": "what was no message, by kind",
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
        },
    ),
    "Reply": _REPLY,
    "DeadLetter": _DEAD,
    "Window": _WINDOW,
    "Conversation": _object(
        ["instance", "user", "messages", "replies", "dead", "windows"],
        {
            **_WHOSE,
            "messages": {"type": "array", "items": _object(["state"], _WHERE)},
            "replies": _list_of("Reply"),
            "dead": _list_of("DeadLetter"),
            "windows": _list_of("Window"),
            "muted_until": {"type": "integer"},
            "last_message_at": {"type": "integer"},
            "last_reply_at": {"type": "integer"},
        },
    ),
    "Whereabouts": _object(
        ["instance", "user", "state"], {**_WHOSE, **_WHERE, "reply": reference("Reply")}
    ),
    "Mute": _object(
        ["minutes"],
        {"minutes": {"type": "integer", "minimum": 1, "maximum": MINUTES_MAX}},
    ),
    "Muted": _object(
        ["instance", "user", "muted_until"],
        {
            **_WHOSE,
            "muted_until": {"type": ["integer", "null"], "description": "ms since 1970"},
        },
    ),
    "LogIn": {**_object(["token"], {"token": {"type": "string"}}), "additionalProperties": True},
    "Session": _object(
        ["logged_in"],
        {"logged_in": {"type": "boolean"}, "expires_in_s": {"type": ["integer", "null"]}},
    ),
    "Health": _object(
        ["status"],
        {"status": {"enum": ["ok", "degraded"]}, "message": {"type": "string"}},
    ),
    "Unready": _object(
        ["status", "error"],
        {
            "status": {"const": "unavailable"},
            "error": _object(
                ["code", "message"], {"code": {"type": "string"}, "message": {"type": "string"}}
            ),
        },
    ),
}
