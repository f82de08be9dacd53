"""What a worker says that it has in hand: for people who look, nothing is decided by it."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Doing(Struct, frozen=True, kw_only=True):
    """
    ``open`` windows gather, ``running`` ones are started and not finished; ``slots`` is how many
    its handlers take at once. ``undecided`` replies wait for a person.
    """

    open: int = 0
    running: int = 0
    slots: int = 0
    undecided: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Doing).decode


def encode_doing(doing: Doing) -> bytes:
    """As it stands in the worker's key."""
    return _encode(doing)


def decode_doing(value: bytes | None) -> Doing | None:
    """None: the worker has said nothing yet, or somebody else wrote there."""
    try:
        return None if value is None else _decode(value)
    except msgspec.DecodeError:
        return None
