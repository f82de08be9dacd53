"""What ``/openapi.json`` says of the accounts and of steering them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.instances import PATH
from ingest.openapi_parts import JSON, OF_BODIES, answered, body_of, in_path, operation, refused
from ingest.openapi_schemas import INSTANCE, Schema
from shared.steering import MODES, NAMES, NUMBERS, Source

_COUNT: Schema = {"type": "integer", "minimum": 0}
_AT: Schema = {"type": ["integer", "null"], "description": "ms since 1970, by Redis's clock"}
_HANDLER: Schema = {"enum": ["echo", "python", "http", "openai", "dify"]}


def _values() -> dict[str, Schema]:
    """What each name may be set to."""
    found: dict[str, Schema] = {
        name: {"type": "integer", "minimum": low, "maximum": high}
        for name, (low, high) in NUMBERS.items()
    }
    found["mode"] = {"enum": list(MODES)}
    found["paused"] = {"type": "boolean"}
    return {name: found[name] for name in NAMES}


def _all_of(properties: dict[str, Schema]) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _in_force(value: Schema) -> Schema:
    return _all_of(
        {
            "value": value,
            "from": {"enum": [source.value for source in Source]},
            "since": {**_AT, "description": "when it was set at run time"},
            "configured": {**value, "description": "what holds without that"},
        }
    )


_SETTINGS = _all_of({name: _in_force(value) for name, value in _values().items()})
_PAUSED: dict[str, Schema] = {
    "paused": {"type": "boolean"},
    "paused_since": _AT,
    "changed_at": {**_AT, "description": "when its run-time settings changed last"},
}
STEERED = _all_of(
    {
        "instance": INSTANCE,
        "known": {"type": "boolean", "description": "it is in the settings, or has written"},
        **_PAUSED,
        "settings": _SETTINGS,
    }
)
_INSTANCE = _all_of(
    {
        "instance": INSTANCE,
        "provider": {"type": ["string", "null"]},
        "handler": _HANDLER,
        "mode": {"enum": list(MODES)},
        "max_wait_ms": _COUNT,
        "max_messages": _COUNT,
        "quiet_ms": {**_COUNT, "description": "0: off"},
        "grace_ms": _COUNT,
        **_PAUSED,
        "messages": {**_COUNT, "description": "accepted and not finished"},
        "oldest_at": _AT,
        "orphans": {**_COUNT, "description": "read by a worker that lives no more"},
        "settings": _SETTINGS,
    }
)
INSTANCES = _all_of({"at": _COUNT, "instances": {"type": "array", "items": _INSTANCE}})


def _changes() -> Schema:
    """``null`` takes a value back."""
    values = {name: {"anyOf": [value, {"type": "null"}]} for name, value in _values().items()}
    return {
        "type": "object",
        "properties": values,
        "minProperties": 1,
        "additionalProperties": False,
        "description": "what is not named stays as it is; null takes a value back",
    }


def instance_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """All accounts, and one's settings."""
    told: dict[int | str, Schema] = {200: answered("as it holds now", STEERED)}
    everybody: dict[int | str, Schema] = {200: answered("the largest backlog first", INSTANCES)}
    whose = [in_path("instance", INSTANCE)]
    changed = {**told, **refused(*OF_BODIES, 401, 409)}
    return {
        PATH: {
            "get": operation(
                "Each account, its settings and what waits",
                {**everybody, **refused(401, 503)},
                **guard,
            )
        },
        f"{PATH}/{{instance}}/settings": {
            "get": operation(
                "What holds for an account, and where that comes from",
                {**told, **refused(400, 401, 503)},
                parameters=whose,
                **guard,
            ),
            "put": operation(
                "Steer an account at run time: in force on all workers within 2 s",
                changed,
                requestBody=body_of(JSON, _changes()),
                parameters=whose,
                **guard,
            ),
            "delete": operation(
                "Take back all that was set at run time, a pause included",
                {**told, **refused(400, 401, 503)},
                parameters=whose,
                **guard,
            ),
        },
    }
