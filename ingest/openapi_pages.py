"""What ``/openapi.json`` says of the pages and of what they are made of."""

from __future__ import annotations

from typing import Any

from ingest.openapi_schemas import INSTANCE, Schema, reference
from ingest.pages import PATH, STATIC_PATH
from ingest.static_files import CONTENT_TYPES

_PAGES = {
    "": "The page on which a person takes a number and waits",
    "/screen": "The page on the wall: now serving, and the next ones",
    "/desk": "The page of the staff: call the next one, begin anew",
}


def page_paths() -> dict[str, Any]:
    """The same files for everybody; what they show they ask of the API."""
    clinic = _in_path("clinic", INSTANCE | {"description": "whose queue"})
    name = {"type": "string", "minLength": 1}
    files: Schema = {content_type: {} for content_type in sorted(CONTENT_TYPES.values())}
    return {
        **{
            f"{PATH}{end}": _file(summary, {"text/html": {}}, [clinic])
            for end, summary in _PAGES.items()
        },
        STATIC_PATH: _file(
            "What pages are made of",
            files,
            [_in_path("folder", name), _in_path("name", name)],
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


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}
