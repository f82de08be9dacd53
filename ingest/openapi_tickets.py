"""What ``/openapi.json`` says of tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.openapi_parts import JSON, OF_BODIES, answered, body_of, object_with, operation, refused
from ingest.openapi_schemas import INSTANCE, USER, Schema, reference
from ingest.tickets import KEY_HEADER, PATH
from shared.tickets import PlaceState
from shared.tickets.store import KEY_MAX_CHARS

_CLINIC: Schema = INSTANCE | {"description": "whose queue"}
_USER: Schema = USER | {"description": "who waits"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "integer", "minimum": 1}
_NUMBER_OR_NONE: Schema = {"type": ["integer", "null"], "minimum": 1}
_SECONDS_OR_NONE: Schema = {"type": ["number", "null"], "minimum": 0}
_MOMENT: Schema = {"type": "integer", "description": "ms since 1970"}


_QUEUE: Mapping[str, Schema] = {
    "clinic": _CLINIC,
    "serving": _NUMBER_OR_NONE,
    "last": _COUNT,
    "waiting": _COUNT,
    "average_service_s": _SECONDS_OR_NONE | {"description": "from a call to its end"},
    "estimated_wait_s": _SECONDS_OR_NONE | {"description": "for who enters now"},
}
_SUCCESS: Schema = {"const": True}

TICKET_SCHEMAS: Mapping[str, Schema] = {
    "Enter": object_with({"clinic": _CLINIC, "user": _USER}),
    "OfClinic": object_with({"clinic": _CLINIC}),
    "Entered": object_with(
        {
            "success": _SUCCESS,
            "clinic": _CLINIC,
            "user": _USER,
            "number": _NUMBER,
            "ahead": _COUNT | {"description": "how many wait before this one"},
            "waiting": _COUNT | {"description": "how many wait in all"},
            "already": {"type": "boolean", "description": "the number is of an earlier call"},
        }
    ),
    "QueueStatus": object_with(
        {
            **_QUEUE,
            "user": object_with(
                {
                    "number": _NUMBER_OR_NONE,
                    "ahead": {"type": ["integer", "null"], "minimum": 0},
                    "state": {"enum": [state.value for state in PlaceState]},
                }
            ),
        },
        "user",
    ),
    "QueueChanged": object_with({"success": _SUCCESS, **_QUEUE}),
    "QueueDays": object_with(
        {
            "clinic": _CLINIC,
            "days": {
                "type": "array",
                "items": object_with(
                    {
                        "date": {"type": "string", "format": "date"},
                        "began_at": _MOMENT,
                        "ended_at": _MOMENT,
                        "last": _NUMBER,
                        "served": _COUNT,
                        "unserved": _COUNT,
                        "average_service_s": _SECONDS_OR_NONE,
                        "average_wait_s": _SECONDS_OR_NONE,
                    }
                ),
            },
        }
    ),
}


def ticket_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """``guard``: what staff must show."""
    return {
        f"{PATH}/enter": {
            "post": operation(
                "Take a number; the same one again while waiting",
                {
                    200: answered("the number is theirs", reference("Entered")),
                    **refused(*OF_BODIES, 401, 404, 409),
                },
                requestBody=body_of(JSON, reference("Enter")),
                parameters=[_KEY],
            )
        },
        f"{PATH}/status": {
            "get": _look(
                "The queue, and where a user stands in it",
                "QueueStatus",
                _in_query("clinic", _CLINIC, required=True),
                _in_query("user", _USER, required=False),
            )
        },
        f"{PATH}/days": {
            "get": _look(
                "The finished days, newest last",
                "QueueDays",
                _in_query("clinic", _CLINIC, required=True),
            )
        },
        f"{PATH}/done": {"post": _by_staff("Call the next number", guard)},
        f"{PATH}/reset": {"post": _by_staff("Begin anew at 1", guard)},
    }


def _look(summary: str, schema: str, *parameters: Schema) -> Schema:
    answers = {200: answered("as it is now", reference(schema)), **refused(400, 401, 404, 503)}
    return operation(summary, answers, parameters=list(parameters))


def _by_staff(summary: str, guard: Mapping[str, Any]) -> Schema:
    return operation(
        summary,
        {
            200: answered("the queue after it", reference("QueueChanged")),
            **refused(*OF_BODIES, 401, 404),
        },
        requestBody=body_of(JSON, reference("OfClinic")),
        parameters=[_KEY],
        **guard,
    )


def _in_query(name: str, schema: Schema, *, required: bool) -> Schema:
    return {"name": name, "in": "query", "required": required, "schema": schema}


_KEY: Schema = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "makes sending it again safe, until the next reset",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX_CHARS},
}
