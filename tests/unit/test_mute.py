"""When a conversation is muted, decided from what Redis knows of it."""

from __future__ import annotations

import pytest

from consumer.mute import muted_until

A, B = b"a" * 12, b"b" * 12
MUTE_MS = 1000


@pytest.mark.parametrize(
    "known, until",
    [
        ({}, 0),
        ({A: b"500"}, 1500),
        ({A: b"500", B: b"700"}, 1700),
        ({b"doubt": b"900"}, 0),
        ({b"since": b"600", b"token": b"us:1:send-1"}, 0),
    ],
    ids=["nobody", "one message", "the newest", "doubt alone", "a send alone"],
)
def test_a_persons_newest_message_mutes(known: dict[bytes, bytes], until: int) -> None:
    """For so long after it came; nothing else does."""
    assert muted_until(known, MUTE_MS) == until


@pytest.mark.parametrize("came, until", [(b"599", 1599), (b"600", 0), (b"601", 0)])
def test_what_came_since_a_send_began_may_be_its_echo(came: bytes, until: int) -> None:
    """And mutes nobody until the send has ended."""
    assert muted_until({A: came, b"since": b"600"}, MUTE_MS) == until
    assert muted_until({A: came, B: b"500", b"since": b"600"}, MUTE_MS) == max(until, 1500)


@pytest.mark.parametrize("value", [b"", b"x", b"-5", b"1.5", b"\xff"])
def test_damage_mutes_nobody(value: bytes) -> None:
    """Somebody else writes into this Redis; the worker lives."""
    assert muted_until({A: value}, MUTE_MS) == 0
    assert muted_until({A: b"500", b"since": value}, MUTE_MS) == 1500
