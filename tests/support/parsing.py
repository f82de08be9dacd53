"""What a provider makes of a payload, without a service around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from multidict import CIMultiDict, MultiDict

from shared.providers import Parsed, ParseOptions, Provider, Recipient, RecipientOf, WebhookRequest

MAX_AGE_MS = 21_600_000
INSTANCE = "front-desk"


def webhook_request(
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | str | None = None,
    *,
    method: str = "POST",
    url: str | None = None,
) -> WebhookRequest:
    """A request as the verifier and the parser see it."""
    return WebhookRequest(
        method=method,
        body=body,
        headers=CIMultiDict(headers or {}),
        query=MultiDict(
            parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query or {}
        ),
        url=url,
    )


def _fields(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def recipient(
    instance: str = INSTANCE, *, store_raw: bool = False, groups: bool = False
) -> RecipientOf:
    """Whatever account a payload names, its messages are for ``instance``."""
    whose = Recipient(instance=instance, store_raw=store_raw, groups=groups)
    return lambda *_named: whose


def account_itself(
    account: str | None, _setting: str | None = None, *_others: tuple[str | None, str]
) -> Recipient:
    """An account that names its instance; ``INSTANCE`` where a payload names none."""
    return Recipient(instance=account or INSTANCE)


def parse_with(provider: Provider, payload: Any, *, received_at: int, **changes: Any) -> Parsed:
    """``payload`` is what ``provider.read`` gives; ``changes`` are fields of the options."""
    fields: dict[str, Any] = {
        "request": webhook_request(),
        "recipient_of": recipient(),
        "received_at": received_at,
        "max_age_ms": MAX_AGE_MS,
        "media_inline_bytes": 256 * 1024,
    }
    return provider.parse(payload, ParseOptions(**(fields | changes)))
