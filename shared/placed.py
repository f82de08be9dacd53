"""Ids of what stays in its conversation's partition: the partition, and the entry's id there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from shared.model import EntryId


@dataclass(frozen=True, slots=True, order=True)
class PlacedId:
    """``3:1760000000000-0``. Orders by time."""

    what: ClassVar[str]

    entry: EntryId
    partition: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        The inverse of ``str``.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        number, _, entry = text.partition(":")
        ms, _, seq = entry.partition("-")
        if not all(part.isascii() and part.isdigit() for part in (number, ms, seq)):
            raise ValueError(f"{text!r} is no id of {cls.what}, such as 3:1760000000000-0")
        return cls(EntryId(int(ms), int(seq)), int(number))

    def __str__(self) -> str:
        return f"{self.partition}:{self.entry}"
