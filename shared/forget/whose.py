"""
Whose something in Redis or in the spool is: told from its bytes, also of what cannot be decoded.

Only the names are read: media of megabytes are passed over, and a later version's value is found,
too. Of what is damaged it counts whether the user's id stands in it, as JSON writes it.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

_QUOTE, _ESCAPED = b'"', b'\\"'


class _Window(Struct):
    user: Any = None
    instance: Any = None


class _Named(Struct):
    user: Any = None
    instance: Any = None
    window: _Window | None = None
    raw: str | None = None


_NAMED = Decoder(_Named)


class Whose:
    """One user of one instance, to be looked for."""

    def __init__(self, instance: str, user: str) -> None:
        self.instance = instance
        self.user = user
        name = orjson.dumps(user)
        self._names = (name, name.replace(_QUOTE, _ESCAPED))

    def has(self, value: bytes, *, instance: str | None = None) -> bool:
        """
        Whether an entry, a reply or a dead letter is the user's.

        ``instance``: whose it is if it does not say so itself, as entries do not.
        """
        try:
            named = _NAMED.decode(value)
        except (DecodeError, RecursionError):
            return instance in (None, self.instance) and self._stands_in(value)
        window = named.window or _Window()
        if (named.instance or window.instance or instance) != self.instance:
            return False
        user = named.user or window.user
        if user is None:
            return self._stands_in(value if named.raw is None else named.raw.encode())
        return bool(user == self.user)

    def _stands_in(self, value: bytes) -> bool:
        return any(name in value for name in self._names)


def is_window(value: bytes) -> bool:
    """Whether an entry hands a dead window over again."""
    try:
        return _NAMED.decode(value).window is not None
    except (DecodeError, RecursionError):
        return False
