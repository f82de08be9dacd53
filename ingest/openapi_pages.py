"""What ``/openapi.json`` says of the pages and of what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.console.page import PATH as CONSOLE_PATH
from ingest.openapi_parts import answered, in_path, operation, refused
from ingest.openapi_schemas import INSTANCE, Schema, reference
from ingest.pages import PATH, STATIC_PATH
from ingest.playground import PATH as PLAYGROUND_PATH
from ingest.playground import RULES_PATH
from ingest.static_files import CONTENT_TYPES

_HTML: Schema = {"text/html": {}}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_RULE_FIELDS: dict[str, Schema] = {
    "instance": INSTANCE,
    "max_wait_ms": _NUMBER,
    "max_messages": _NUMBER,
    "quiet_ms": _NUMBER,
    "pass_through": {"type": "boolean"},
    "paused": {"type": "boolean"},
    "handler": {"enum": ["echo", "python", "http", "openai", "dify"]},
}
_RULES: Schema = {"type": "object", "properties": _RULE_FIELDS, "required": list(_RULE_FIELDS)}

_PAGES = {
    "": "The page on which a person takes a number and waits",
    "/screen": "The page on the wall: now serving, and the next ones",
    "/desk": "The page of the staff: call the next one, begin anew",
}


def page_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    """The same files for everybody; what they show they ask of the API."""
    clinic = in_path("clinic", INSTANCE | {"description": "whose queue"})
    name = {"type": "string", "minLength": 1}
    files: Schema = {content_type: {} for content_type in sorted(CONTENT_TYPES.values())}
    return {
        **{f"{PATH}{end}": _file(summary, _HTML, [clinic]) for end, summary in _PAGES.items()},
        CONSOLE_PATH: _file("Where one sees who waits and why, and acts", _HTML, []),
        PLAYGROUND_PATH: _file("Where one sees a burst become a window, if it is on", _HTML, []),
        RULES_PATH: {
            "get": operation(
                "What shapes the windows of the playground",
                {200: answered("as it is set", _RULES), **refused(401, 404, 503)},
                **guard,
            )
        },
        STATIC_PATH: _file(
            "What pages are made of",
            files,
            [in_path("folder", name), in_path("name", name)],
        ),
    }


def _file(summary: str, content: Schema, parameters: list[Schema]) -> Schema:
    refused = {"application/json": {"schema": reference("Error")}}
    answers = {
        "200": {"description": "the file, with its tag", "content": content},
        "304": {"description": "still the one whose tag was sent"},
        "401": {"description": "only for this machine, without a token", "content": refused},
        "404": {"description": "there is nothing of that name", "content": refused},
    }
    return {"get": {"summary": summary, "parameters": parameters, "responses": answers}}
