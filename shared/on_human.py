"""
``ON_HUMAN``: what happens to a conversation when a person answers the user by hand.

``ignore``: nothing. ``mute:<minutes>``: for so long after the person's last message its windows
are finished in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.settings import Settings

MINUTES_MAX = 7 * 24 * 60

HASH_BYTES = 12
"""So long is a field that stands for a message; names of the others are shorter."""

MS_MAX_DIGITS = 19


def parse_mute_ms(value: str) -> int:
    """
    For how long a person's message mutes; 0 for ``ignore``.

    Raises:
        ValueError: neither ``ignore`` nor ``mute:<minutes>``.
    """
    if value == "ignore":
        return 0
    word, _, minutes = value.partition(":")
    if word == "mute" and minutes.isascii() and minutes.isdigit():
        count = int(minutes[:9])
        if 1 <= count <= MINUTES_MAX:
            return count * 60_000
    raise ValueError(f"must be ignore or mute:<minutes>, 1 to {MINUTES_MAX}")


def mute_ms_of(settings: Settings, instance: str, connection: str | None) -> int:
    """The instance's own setting, else the general one, in ms; 0: nobody is muted."""
    own = settings.instance(instance, connection).on_human
    return parse_mute_ms(settings.on_human if own is None else own)


def mutes_anywhere(settings: Settings) -> bool:
    """Whether any instance's conversations are muted."""
    own = [one.on_human for one in settings.instances.values() if one.on_human is not None]
    return any(parse_mute_ms(value) for value in (settings.on_human, *own))


def muted_until(known: Mapping[bytes, bytes], mute_ms: int) -> int:
    """
    Until when, in Redis's ms, a person's message mutes a conversation; 0: nobody has written.

    ``known``: the hash of a person's message -> when it came. One with a minus came while a send
    of ours was on its way, and may be its echo. What came before ``unmuted`` counts no more; what
    is no number somebody else wrote.
    """
    came = [_ms(value) for field, value in known.items() if len(field) == HASH_BYTES]
    newest = max(came, default=0)
    return newest + mute_ms if newest > _ms(known.get(b"unmuted", b"")) else 0


def _ms(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) <= MS_MAX_DIGITS else 0
