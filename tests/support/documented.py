"""What ``/openapi.json`` says of an answer."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from ingest.openapi import openapi_document
from shared.providers.registry import PROVIDERS

DOCUMENT = openapi_document(PROVIDERS, has_token=False)


def checked(body: Any, schema: str) -> Any:
    """The same, if it is as the document says."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(whole).validate(body)
    return body
