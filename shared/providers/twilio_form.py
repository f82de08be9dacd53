"""
The fields of a Twilio request: a form, a query, or JSON.

Field by field as bytes, for the signature stands over the decoded bytes, whatever they are; for
the message they become text, in which what is no UTF-8 is replaced.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from shared.payload import parse_json
from shared.providers import WebhookRequest
from shared.providers.forms import refusal
from shared.providers.values import text_of

FIELDS_MAX = 2000
"""Real requests have 15 to 50."""


def is_json(request: WebhookRequest) -> bool:
    """Whether the body is declared as JSON, which some of Twilio's products send."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method != "GET" and kind == "application/json"


def form_fields(body: bytes) -> list[tuple[bytes, bytes]] | None:
    """The form's fields in their order, blank ones too; None: more than anybody sends."""
    if body.count(b"&") >= FIELDS_MAX:
        return None
    pairs = (part.partition(b"=") for part in body.split(b"&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def read_fields(request: WebhookRequest) -> dict[str, str]:
    """
    The fields as text; of one that comes twice the first.

    Raises:
        RequestRefused: 400, too many fields, or JSON that is no object.
    """
    fields: dict[str, str] = {}
    for name, value in _pairs(request):
        fields.setdefault(name, value)
    return fields


def _pairs(request: WebhookRequest) -> list[tuple[str, str]]:
    if request.method == "GET":
        return [(_clean(name), _clean(value)) for name, value in request.query.items()]
    if is_json(request):
        value = parse_json(request.body)
        if not isinstance(value, dict):
            raise refusal("the body must be a JSON object")
        return [(name, text_of(member)) for name, member in value.items()]
    pairs = form_fields(request.body)
    if pairs is None:
        raise refusal(f"the body must be a form of at most {FIELDS_MAX} fields")
    return [
        (name.decode(errors="replace"), value.decode(errors="replace")) for name, value in pairs
    ]


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
