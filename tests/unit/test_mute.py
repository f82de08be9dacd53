"""When a conversation is muted, decided from what Redis knows of it."""

from __future__ import annotations

import pytest

from shared.on_human import muted_until

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
        ({A: b"-500"}, 0),
        ({A: b"-900", B: b"500"}, 1500),
        ({A: b"500", b"unmuted": b"500"}, 0),
        ({A: b"501", B: b"400", b"unmuted": b"500"}, 1501),
        ({A: b"500", b"unmuted": b"x"}, 1500),
    ],
    ids=[
        "nobody",
        "one message",
        "the newest",
        "doubt",
        "a send",
        "during it",
        "before it",
        "unmuted",
        "muted again",
        "damage",
    ],
)
def test_a_persons_newest_message_mutes(known: dict[bytes, bytes], until: int) -> None:
    """For so long after it came; nothing else does."""
    assert muted_until(known, MUTE_MS) == until


@pytest.mark.parametrize("value", [b"", b"x", b"-5", b"1.5", b"\xff", b"9" * 5000])
def test_damage_mutes_nobody(value: bytes) -> None:
    """Somebody else writes into this Redis; the worker lives."""
    assert muted_until({A: value}, MUTE_MS) == 0
    assert muted_until({A: b"500", B: value}, MUTE_MS) == 1500
