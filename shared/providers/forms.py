"""What several providers' payloads have in common, as JSON Schema, and what becomes of others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from shared.errors import RequestRefused

EVENT: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "required": ["event"],
        "properties": {"event": {"type": "string", "pattern": r"\S"}},
    }
)
"""An object that names its event; everything else in it is read as far as it can be."""


def with_any_of(names: frozenset[str], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object that has at least one of these members, and each as ``schema`` says."""
    listed = sorted(names)
    return MappingProxyType(
        {
            "type": "object",
            "properties": {name: dict(schema) for name in listed},
            "anyOf": [{"required": [name]} for name in listed],
        }
    )


def refusal(message: str) -> RequestRefused:
    """400: it is not of the provider's form. ``message`` names the field, never its value."""
    return RequestRefused(400, "invalid_payload", message)
