"""
Each provider as the outside sees it: its webhooks, signed, and the call that answers them.

One module per provider has a ``DOOR``; tests that hold for all providers go through ``doors()``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INSTANCE = "front-desk"
SECRET = "planted-webhook-secret"
TOKEN = "planted-sending-token"
PUBLIC_URL = "https://bot.example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One webhook request; ``query`` is as it stands in the URL, without the question mark."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One message of a window, as the handler is told: its kind, text, and media's fields."""

    kind: str
    text: str
    media: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """
    A request to the provider's API: ``path`` below the configured ``base_url``, with its query;
    ``headers`` are those that matter; ``body`` is its JSON, or the form's fields.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """
    One provider.

    ``settings`` is ``[instances.<INSTANCE>]`` without ``provider`` and ``base_url``: with
    ``SECRET`` and ``TOKEN``. ``text`` makes the unsigned webhook of a person's text: (text, serial
    number of the message). ``sign`` signs or proves a webhook: (hook, secret, now in seconds).
    ``burst`` makes the unsigned webhooks of a photo, a voice note, a location and two texts of
    one person, and what the handler is to be told (a provider without one of these kinds sends
    another). ``others`` makes unsigned webhooks of every other sort: other kinds of messages,
    groups, echoes, receipts. ``sent`` is the call that carries a reply to ``text``'s person;
    ``answer`` what the provider answers it (status, JSON). ``signature`` is the header with the
    proof.
    """

    provider: str
    settings: Mapping[str, Any]
    text: Callable[[str, int], Hook]
    sign: Callable[[Hook, str, int], Hook]
    burst: Callable[[], tuple[Sequence[Hook], Sequence[Expected]]]
    sent: Callable[[str], ApiCall]
    answer: tuple[int, Any]
    signature: str
    others: Callable[[], Sequence[Hook]] = tuple

    def path(self, hook: Hook) -> str:
        """Where the webhook goes, with its query."""
        path = f"/webhooks/{self.provider}/{INSTANCE}"
        return f"{path}?{hook.query}" if hook.query else path


def doors() -> list[Door]:
    """Every provider's door, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}").DOOR for name in names]
