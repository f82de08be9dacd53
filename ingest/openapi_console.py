"""What ``/openapi.json`` says of what the console asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.console.stream import PATH as STREAM_PATH
from ingest.console.views import LIVE
from ingest.openapi_parts import operation, refused
from ingest.openapi_schemas import Schema

_TOLD = (
    "Server-sent events: LOOK twice a second or less often, STALE while Redis does not tell. The "
    "data of each is JSON, for the pages of the same version."
)


def console_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """They stay open for minutes: whoever tries out each path of the document leaves them out."""
    stream: Schema = {
        "description": _TOLD,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    parameters = [
        {
            "name": "view",
            "in": "query",
            "required": True,
            "schema": {"enum": list(LIVE), "description": "which of the live views"},
        },
        _in_query("instance", "of this one alone; of the list of instances, those it is a part of"),
        _in_query("users", "1: users are named"),
    ]
    told: dict[int | str, Schema] = {200: stream, **refused(400, 401, 503)}
    operations = operation("What is going on, live", told, parameters=parameters, **guard)
    return {STREAM_PATH: {"get": operations}}


def _in_query(name: str, meaning: str) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "string", "description": meaning},
    }
