"""What ``/openapi.json`` says of the event stream."""

from __future__ import annotations

from typing import Any

from ingest.events import PATH
from ingest.openapi_parts import operation, refused
from ingest.openapi_schemas import INSTANCE, Schema

_TOLD = (
    "Server-sent events: CONNECTED at once, QUEUE_UPDATE for each change, SNAPSHOT a few seconds "
    "after changes, HEARTBEAT every 15 s. The data of each is JSON."
)
_CLINIC: Schema = {
    "name": "clinic",
    "in": "query",
    "required": True,
    "schema": INSTANCE | {"description": "whose queue"},
}
_LAST_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "description": "go on behind this event; any text is taken"},
}


def event_paths() -> dict[str, Any]:
    """It stays open for minutes: whoever tries out each path of the document leaves it out."""
    stream: Schema = {
        "description": _TOLD,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    told: dict[int | str, Schema] = {200: stream, **refused(400, 401, 404, 503)}
    return {PATH: {"get": operation("A queue, live", told, parameters=[_CLINIC, _LAST_ID])}}
