"""
What Meta's webhooks have in common: handshake, signature, batches.

The signature is over the bytes on the wire, in which Meta has escaped every character that is
not ASCII: JSON that was read and written again does not match it.

One request may hold a thousand updates of several accounts, and Meta repeats all of it, for up to
a week, until it is answered 2xx. So one update that makes no sense must not fail the others: it
is counted as ``malformed``, and only a body that is not of Meta's form at all is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from shared.instance_settings import InstanceSettings
from shared.model import Message
from shared.providers import Echo, Parsed, PlainAnswer, Provider, WebhookRequest
from shared.providers.evidence import digests, is_one_of, only_value
from shared.providers.forms import refusal
from shared.providers.values import integer_of, text_of

SIGNATURE = "x-hub-signature-256"

USER_MAX_CHARS = 256
_ID_MAX_CHARS = 512
_SECONDS_MAX = 100_000_000_000
"""In seconds the year 5138, in ms March 1973: no message is from either."""
_TIME_MAX_MS = 253_402_300_799_999

_GREETING = {
    "hub.mode": {"const": "subscribe"},
    "hub.verify_token": {"type": "string"},
    "hub.challenge": {"type": "string"},
}


class MetaProvider(Provider):
    """Handshake and signature of WhatsApp, Messenger and Instagram."""

    greets = frozenset({"GET"})
    greeting_parameters = tuple(
        {"name": name, "in": "query", "required": True, "schema": schema}
        for name, schema in _GREETING.items()
    )
    form = MappingProxyType(
        {
            "type": "object",
            "properties": {"entry": {"type": "array"}},
            "required": ["entry"],
        }
    )

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Whether the body was signed with one of the app secrets, as lower-case hex SHA-256."""
        offered = only_value(request.headers, SIGNATURE)
        if offered is None:
            return False
        made = digests(secrets, request.body, "sha256")
        return is_one_of([offered], [f"sha256={digest.hex()}" for digest in made])

    def greet(self, request: WebhookRequest, settings: InstanceSettings) -> PlainAnswer | None:
        """The challenge, to who knows ``verify_token``; else 403."""
        mode = only_value(request.query, "hub.mode")
        if mode is None:
            return None
        challenge = only_value(request.query, "hub.challenge")
        token = only_value(request.query, "hub.verify_token")
        expected = settings.verify_token.get_secret_value() if settings.verify_token else ""
        knows = token is not None and is_one_of([token], [expected])
        if mode != "subscribe" or challenge is None or not knows:
            return PlainAnswer(body=b"forbidden", content_type="text/plain", status=403)
        return PlainAnswer(
            body=challenge.encode("utf-8", "surrogatepass"),
            content_type="text/plain; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff"},
        )


class Gathered:
    """What a batch held, as it is found; of what it holds twice, once, and a ``duplicate``."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str, str], Message] = {}
        self._echoes: dict[tuple[str, str, str], Echo] = {}
        self._ignored: dict[str, int] = {}

    def add(self, found: Message | Echo | str) -> None:
        """A message, an echo, or the kind of something that is neither."""
        if isinstance(found, str):
            self.ignore(found, 1)
            return
        identity = (found.instance, found.user, found.message_id)
        if identity in (self._messages if isinstance(found, Message) else self._echoes):
            self.ignore("duplicate", 1)
        elif isinstance(found, Message):
            self._messages[identity] = found
        else:
            self._echoes[identity] = found

    def ignore(self, kind: str, count: int) -> None:
        """``count`` things that are neither message nor echo."""
        if count:
            self._ignored[kind] = self._ignored.get(kind, 0) + count

    def parsed(self) -> Parsed:
        """All of it."""
        return Parsed(
            messages=tuple(self._messages.values()),
            echoes=tuple(self._echoes.values()),
            ignored=self._ignored,
        )


def entries_of(payload: Any) -> list[Any]:
    """
    The envelope's batch.

    Raises:
        RequestRefused: 400, it is not Meta's envelope.
    """
    entries = payload.get("entry") if isinstance(payload, dict) else None
    if not isinstance(entries, list):
        raise refusal("entry must be an array of objects")
    return entries


def objects_in(value: Any, gathered: Gathered) -> Iterator[dict[str, Any]]:
    """The objects of an array; what else stands in it, or in its place, is ``malformed``."""
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item
        else:
            gathered.ignore("malformed", 1)


def count_of(value: Any) -> int:
    """How many things ``value`` stands for."""
    return len(value) if isinstance(value, list) else int(value is not None)


def name_of(value: Any) -> str | None:
    """A user, an account or a group, if ``value`` can name one."""
    name = text_of(value).strip()
    return name if name.isprintable() and 0 < len(name) <= USER_MAX_CHARS else None


def id_of(value: Any, item: Any, kind: str = "item") -> str:
    """
    The provider's id; where there is none, one made of ``item``: for the same bytes the same.

    What is sent again then still counts once.
    """
    given = text_of(value)
    if given.strip() and len(given) <= _ID_MAX_CHARS:
        return given
    made = json.dumps(item, sort_keys=True).encode()
    return f"{kind}:{blake2b(made, digest_size=16).hexdigest()}"


def moment_ms(value: Any) -> int | None:
    """A time in ms, given in ms, in seconds or as ISO 8601 with its zone."""
    at = integer_of(value)
    if at is None:
        at = _iso_ms(value)
    elif at < _SECONDS_MAX:
        at *= 1000
    return at if at is not None and 0 < at <= _TIME_MAX_MS else None


def _iso_ms(value: Any) -> int | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None or at.tzinfo is None else int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
