"""What ``/openapi.json`` says of forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ingest.forget import PATH
from ingest.openapi_parts import JSON, OF_BODIES, answered, body_of, object_with, operation, refused
from ingest.openapi_schemas import INSTANCE, USER, Schema
from shared.forget import Forgotten

_COUNT: Schema = {"type": "integer", "minimum": 0}
_NAMES: Schema = {"type": "array", "items": {"type": "string"}}


_REPORT = object_with(
    {
        "forgotten": object_with({field.name: _COUNT for field in fields(Forgotten)}),
        "ingest": {
            **object_with({"heeded": _COUNT, "awaited": _NAMES, "silent": _NAMES}),
            "description": "processes whose disks hold nothing any more; those that have not said"
            " so in time; those that were silent before, and are told when they come back",
        },
        "not_reached": {**_NAMES, "description": "what is beyond inturn, in words"},
    }
)


_WAITING = object_with({"waits_for": {"const": "a worker"}})


def forget_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """The path; with ``guard`` it needs the token."""
    told: dict[int | str, Schema] = {
        200: answered("it is deleted", _REPORT),
        202: answered("a worker does it as soon as there is one", _WAITING),
    }
    whose = object_with({"instance": INSTANCE, "user": USER})
    return {
        PATH: {
            "post": operation(
                "Delete everything of a user",
                {**told, **refused(*OF_BODIES, 401)},
                requestBody=body_of(JSON, whose),
                **guard,
            )
        }
    }
