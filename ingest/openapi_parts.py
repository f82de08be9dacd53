"""The pieces that ``/openapi.json`` is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.openapi_schemas import Schema, reference

JSON = "application/json"

_REFUSALS: Mapping[int, str] = {
    400: "not of the form that is told here; `error.message` names the field",
    401: "not proven who sends; the same answer always (where no token is set, it says so)",
    404: "nothing is known of this, or there is no such path",
    405: "not with this method, or without what a handshake carries",
    408: "the body came too slowly",
    409: "not while it is so; `error.code` tells what",
    413: "too large a body, or too many messages in it",
    415: "the body is compressed, or of a kind that is not read here",
    429: "too many large bodies at once",
    503: "nothing is kept now (Redis, spool, backlog): send again",
}
_MAY_TRY_AGAIN = frozenset({429, 503})
OF_BODIES = (400, 408, 413, 415, 429, 503)


def operation(summary: str, answers: Mapping[int | str, Schema], **more: Any) -> dict[str, Any]:
    """What one method does; parts that are empty are left out."""
    parts = {name: part for name, part in more.items() if part}
    return {
        "summary": summary,
        **parts,
        "responses": {str(status): answer for status, answer in answers.items()},
    }


def answered(meaning: str, schema: Schema) -> Schema:
    """An answer in JSON."""
    return {"description": meaning, "content": {JSON: {"schema": schema}}}


def refused(*statuses: int) -> dict[int | str, Schema]:
    """The refusals of these statuses, in the one form that they have."""
    return {status: _refusal(status) for status in statuses}


def _refusal(status: int) -> Schema:
    answer = answered(_REFUSALS[status], reference("Error"))
    if status in _MAY_TRY_AGAIN:
        seconds = {"type": "integer", "minimum": 0}
        answer["headers"] = {"Retry-After": {"schema": seconds, "description": "in seconds"}}
    return answer


def object_with(properties: Mapping[str, Schema], *optional: str) -> Schema:
    """An object with these and no other, of which the ``optional`` may be absent."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def in_path(name: str, schema: Schema) -> Schema:
    """A parameter that is a part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def body_of(media_type: str, schema: Schema) -> Schema:
    """A body that must be there."""
    return {"required": True, "content": {media_type: {"schema": schema}}}


def plain(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0]
