"""Which provider a reply leaves through."""

from __future__ import annotations

from typing import Any

import pytest

from shared.channel import channel_provider
from shared.model import WindowId
from shared.settings import Settings
from shared.wire import OutboxReply

CREDENTIALS = {"base_url": "http://127.0.0.1:1", "token": "k"}


def name_of(provider: str | None, **settings: Any) -> str | None:
    """The provider's name for a reply of ``shop``."""
    reply = OutboxReply(
        window_id=WindowId("w_1"),
        instance="shop",
        user="u",
        texts=("hello",),
        provider=provider,
        reply_to=None,
        message_ids=("m1",),
    )
    found = channel_provider(Settings(**settings), reply)
    return None if found is None else found.name


@pytest.mark.parametrize(
    "provider, own, expected",
    [
        ("evolution", CREDENTIALS, "evolution"),
        ("evolution", {}, None),
        (None, CREDENTIALS, None),
        (None, {**CREDENTIALS, "provider": "evolution"}, "evolution"),
        ("nobody", CREDENTIALS, None),
    ],
)
def test_a_channel_needs_a_provider_and_its_credentials(
    provider: str | None, own: dict[str, str], expected: str | None
) -> None:
    """The instance's own provider comes first, else the one that brought the message."""
    assert name_of(provider, handler="http://127.0.0.1:1", instances={"shop": own}) == expected


def test_echo_reaches_users_only_when_it_was_written() -> None:
    """A bot that repeats its users must not be what happens when a setting was forgotten."""
    assert name_of("evolution", instances={"shop": CREDENTIALS}) is None
    assert name_of("evolution", handler="echo", instances={"shop": CREDENTIALS}) == "evolution"
    own = {**CREDENTIALS, "handler": "echo"}
    assert name_of("evolution", instances={"shop": own}) == "evolution"
