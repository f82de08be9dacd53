"""What ``/openapi.json`` says of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.openapi_parts import answered, operation, refused
from ingest.openapi_schemas import INSTANCE, Schema
from ingest.report import PATH
from shared.doctor.point import Verdict

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_AT: Schema = {"type": "integer", "description": "ms since 1970, by Redis's clock"}


def _maybe(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _all_of(properties: dict[str, Schema], **more: Any) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _list_of(properties: dict[str, Schema]) -> Schema:
    return {"type": "array", "items": _all_of(properties)}


_POINT: dict[str, Schema] = {
    "name": _TEXT,
    "verdict": {"enum": [verdict.value for verdict in Verdict]},
    "says": _TEXT,
    "costs": _TEXT,
    "advice": _TEXT,
}
_REDIS: dict[str, Schema] = {
    "version": _TEXT,
    "memory_used_bytes": _COUNT,
    "memory_max_bytes": {**_COUNT, "description": "0: no limit"},
    "eviction_policy": _maybe(_TEXT),
    "append_only": _maybe({"type": "boolean"}),
    "appendfsync": _maybe(_TEXT),
    "replicas": _COUNT,
    "clock_skew_ms": {"type": "integer"},
}
_NODE: dict[str, Schema] = {
    "place": {**_TEXT, "description": "host and port"},
    "redis": {**_all_of(_REDIS), "type": ["object", "null"]},
    "partitions": {"type": "array", "items": _COUNT},
}
_BACKLOG: dict[str, Schema] = {
    "instance": INSTANCE,
    "messages": _COUNT,
    "oldest_at": _AT,
    "orphans": {**_COUNT, "description": "read by a worker that lives no more"},
}
_PARTITION: dict[str, Schema] = {
    "partition": _COUNT,
    "owner": _maybe(_TEXT),
    "epoch": _maybe(_COUNT),
    "messages": _COUNT,
    "oldest_at": _maybe(_AT),
}
_DATA: dict[str, Schema] = {
    "at": _AT,
    "backlog_messages": _COUNT,
    "oldest_unfinished_s": {"type": "number", "minimum": 0},
    "instances": _list_of(_BACKLOG),
    "instances_left_out": _COUNT,
    "orphans_found": _COUNT,
    "orphans_reclaimed": {**_COUNT, "description": "taken over from another worker, ever"},
    "dead_workers_removed": _COUNT,
    "dead_letters": _COUNT,
    "replies_unsent": _COUNT,
    "workers": _list_of({"worker": _TEXT, "state": _TEXT}),
    "partitions": _list_of(_PARTITION),
}
REPORT = _all_of(
    {
        "ok": {"type": "boolean", "description": "no point fails"},
        "points": _list_of(_POINT),
        "redis": {
            **_all_of(_REDIS),
            "type": ["object", "null"],
            "description": "of a cluster the server that will be full first",
        },
        "nodes": {**_list_of(_NODE), "description": "the masters of a cluster, else none"},
        "data": {**_all_of(_DATA), "type": ["object", "null"]},
    }
)


def report_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong, what waits, and who works on it."""
    told: dict[int | str, Schema] = {
        200: answered("what was found", REPORT),
        **refused(401, 503),
    }
    return {PATH: {"get": operation("Is all well, and what waits where", told, **guard)}}
