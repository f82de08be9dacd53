"""What ``/openapi.json`` says of dead letters, of unsent replies, and of the spool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.asked import LIST_DEFAULT, LIST_MAX, PLACED_ID
from ingest.dead_letters import PATH as LETTERS
from ingest.openapi_parts import (
    JSON,
    OF_BODIES,
    answered,
    body_of,
    in_path,
    object_with,
    operation,
    refused,
)
from ingest.openapi_schemas import Schema, reference
from ingest.replies import PATH as REPLIES
from ingest.spool_api import PATH as SPOOL
from shared.model import ClosedBy, Kind
from shared.trace.whereabouts import ReplyState

_ID_PATTERN = f"^{PLACED_ID}$"
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NONE: Schema = {"type": ["string", "null"]}
_COUNT_OR_NONE: Schema = {"type": ["integer", "null"], "minimum": 0}
_AT: Schema = {"type": "integer", "description": "ms since 1970"}
_AT_OR_NONE: Schema = {"type": ["integer", "null"], "description": "ms since 1970"}
_ID: Schema = {"type": "string", "pattern": _ID_PATTERN}
_ID_OR_NONE: Schema = {"type": ["string", "null"], "pattern": _ID_PATTERN}
_NEXT: Schema = {**_ID_OR_NONE, "description": "where the next page begins; null: this is the last"}
_UNTIL: Schema = {**_ID_OR_NONE, "description": "what came later is not meant"}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_LETTER: Mapping[str, Schema] = {
    "id": _ID,
    "at": _AT,
    "instance": _TEXT_OR_NONE,
    "window_id": _TEXT_OR_NONE,
    "messages": _COUNT_OR_NONE,
    "attempts": _COUNT_OR_NONE,
    "error": {**_TEXT_OR_NONE, "description": "what kind; null where it cannot be read"},
    "not_replayable": {**_TEXT_OR_NONE, "description": "why it cannot be handed over again"},
}
_CONTENT = object_with(
    {
        "message_id": _TEXT,
        "entry_id": _TEXT,
        "kind": {"enum": [kind.value for kind in Kind]},
        "sent_at": _AT_OR_NONE,
        "received_at": _AT,
        "provider": _TEXT_OR_NONE,
        "text": _TEXT,
        "name": _TEXT_OR_NONE,
        "caption": _TEXT_OR_NONE,
        "file": _TEXT_OR_NONE,
    },
    "text",
    "name",
    "caption",
    "file",
)
_WHOLE_LETTER = object_with(
    {
        **_LETTER,
        "user": _TEXT_OR_NONE,
        "opened_at": _AT_OR_NONE,
        "closed_at": _AT_OR_NONE,
        "closed_by": {"enum": [*(reason.value for reason in ClosedBy), None]},
        "contents": _list_of(_CONTENT),
        "whole_error": _TEXT_OR_NONE,
        "raw": _TEXT_OR_NONE,
    },
    "whole_error",
    "raw",
)
_REPLY: Mapping[str, Schema] = {
    "id": _ID,
    "at": _AT,
    "instance": _TEXT_OR_NONE,
    "window_id": _TEXT_OR_NONE,
    "state": {"enum": [state.value for state in ReplyState]},
    "attempts": _COUNT,
    "texts": {**_COUNT_OR_NONE, "description": "how many"},
    "why": {**_TEXT_OR_NONE, "description": "it waits, or its last send failed"},
}
_WHOLE_REPLY = object_with(
    {
        **_REPLY,
        "user": _TEXT_OR_NONE,
        "provider": _TEXT_OR_NONE,
        "message_ids": _list_of(_TEXT),
        "texts_sent": _COUNT,
        "retry_at": _AT_OR_NONE,
        "contents": _list_of(_TEXT),
        "whole_why": _TEXT_OR_NONE,
        "raw": _TEXT_OR_NONE,
    },
    "contents",
    "whole_why",
    "raw",
)
_MEANT: Mapping[str, Schema] = {
    "instance": _TEXT_OR_NONE,
    "error": {**_TEXT_OR_NONE, "description": "a kind of error, as the list tells it"},
}
_GROUP = object_with({"instance": _TEXT, "error": _TEXT, "count": _COUNT})
_FOLDER = object_with(
    {
        "folder": _TEXT,
        "held_by": {**_COUNT_OR_NONE, "description": "a process; null: nobody"},
        "messages": _COUNT,
        "size_bytes": _COUNT,
        "oldest_s": _COUNT_OR_NONE,
        "damaged": _COUNT,
        "refused": _COUNT,
        "is_ours": {"type": "boolean", "description": "of the process that answers"},
    }
)

DECISION_SCHEMAS: Mapping[str, Schema] = {
    "KeptLetters": object_with(
        {"total": _COUNT, "dead_letters": _list_of(object_with(_LETTER)), "next": _NEXT}
    ),
    "LetterGroups": object_with(
        {
            "total": _COUNT,
            "looked_at": {**_COUNT, "description": "these are counted, the newest"},
            "is_whole": {"type": "boolean"},
            "groups": _list_of(_GROUP),
        }
    ),
    "WholeLetter": _WHOLE_LETTER,
    "ReplaySome": object_with(
        {**_MEANT, "until": _UNTIL, "after": _ID_OR_NONE}, *_MEANT, "until", "after"
    ),
    "ReplayedSome": object_with(
        {
            "replayed": _COUNT,
            "not_replayable": _COUNT,
            "total": {**_COUNT, "description": "letters that are there now"},
            "until": _UNTIL,
            "next": _NEXT,
        }
    ),
    "Replayed": object_with({"id": _ID, "entry_id": _TEXT}),
    "UnsentReplies": object_with(
        {
            "undecided": {**_COUNT, "description": "how many wait for a person"},
            "replies": _list_of(object_with(_REPLY)),
            "next": _NEXT,
        }
    ),
    "WholeReply": _WHOLE_REPLY,
    "ResendSome": object_with({"until": _UNTIL, "after": _ID_OR_NONE}, "until", "after"),
    "ResentSome": object_with({"released": _COUNT, "until": _UNTIL, "next": _NEXT}),
    "Decided": object_with({"id": _ID}),
    "Spool": object_with(
        {
            "told_by": {**_TEXT, "description": "machine and process"},
            "on_outage": _TEXT,
            "messages": {**_COUNT, "description": "of this process, not in Redis yet"},
            "oldest_s": {"type": "number", "minimum": 0},
            "max_bytes": _COUNT,
            "used_bytes": {**_COUNT, "description": "of all processes on this disk"},
            "is_counted": {"type": "boolean", "description": "false: too much to read it"},
            "folders": _list_of(_FOLDER),
        }
    ),
}


def decision_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """What a person may look at and decide about."""
    return {**_letter_paths(guard), **_reply_paths(guard), **_spool_paths(guard)}


def _letter_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    asked = [*_paged(), _in_query("instance", _TEXT), _in_query("error", _TEXT)]
    return {
        LETTERS: {
            "get": _get("The newest windows that were given up", "KeptLetters", guard, *asked)
        },
        f"{LETTERS}/groups": {
            "get": _get("How many were given up, by instance and error", "LetterGroups", guard)
        },
        f"{LETTERS}/replay": {
            "post": operation(
                "Hand some over again: all, of an instance, of an error; until `next` is null",
                {
                    200: answered("what became of some", reference("ReplayedSome")),
                    **refused(*OF_BODIES, 401, 409),
                },
                requestBody={**body_of(JSON, reference("ReplaySome")), "required": False},
                **guard,
            )
        },
        **_one_of(LETTERS, "WholeLetter", "replay", "Replayed", guard),
    }


def _reply_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    asked = [*_paged(), _in_query("all", _FLAG)]
    return {
        REPLIES: {
            "get": _get("The newest replies that wait for a person", "UnsentReplies", guard, *asked)
        },
        f"{REPLIES}/resend": {
            "post": operation(
                "Have some of those sent that wait for a person; until `next` is null",
                {
                    200: answered("how many are to be sent", reference("ResentSome")),
                    **refused(*OF_BODIES, 401),
                },
                requestBody={**body_of(JSON, reference("ResendSome")), "required": False},
                **guard,
            )
        },
        **_one_of(REPLIES, "WholeReply", "resend", "Decided", guard),
    }


def _spool_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[int | str, Schema] = {
        200: answered("what is on this disk", reference("Spool")),
        **refused(400, 401),
    }
    return {SPOOL: {"get": operation("What waits on disk for Redis", told, **guard)}}


def _one_of(
    base: str, whole: str, verb: str, done: str, guard: Mapping[str, Any]
) -> dict[str, Any]:
    """One thing: look at it, do it, delete it."""
    path, whose = f"{base}/{{id}}", [in_path("id", _ID)]
    decided: dict[int | str, Schema] = {
        200: answered("it is so", reference("Decided")),
        **refused(400, 401, 404, 409, 503),
    }
    did = {
        200: answered("it is so", reference(done)),
        **refused(*OF_BODIES, 401, 404, 409),
    }
    shown = {
        200: answered("with `texts=1` also what it says", reference(whole)),
        **refused(400, 401, 404, 503),
    }
    return {
        path: {
            "get": operation("One of them", shown, parameters=[*whose, TEXTS], **guard),
            "delete": operation("Delete it for ever", decided, parameters=whose, **guard),
        },
        f"{path}/{verb}": {
            "post": operation(verb.capitalize(), did, parameters=whose, **guard),
        },
    }


def _get(summary: str, schema: str, guard: Mapping[str, Any], *parameters: Schema) -> Schema:
    told: dict[int | str, Schema] = {
        200: answered("newest first", reference(schema)),
        **refused(400, 401, 503),
    }
    return operation(summary, told, parameters=list(parameters), **guard)


def _paged() -> list[Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": LIST_DEFAULT}
    return [_in_query("limit", limit), _in_query("before", _ID)]


_FLAG: Schema = {"enum": ["0", "1"]}


def _in_query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


TEXTS = _in_query("texts", _FLAG)
