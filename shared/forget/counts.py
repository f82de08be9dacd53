"""What was deleted of a user, by kind."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """
    How much went. ``messages``: entries that were not finished, a window handed over again is one;
    ``windows``: one that a worker had in hand; ``ids``: of messages and windows, kept for dedupe;
    ``history``: what was said and answered; ``persons``: notes on what persons wrote by hand.
    """

    messages: int = 0
    windows: int = 0
    replies: int = 0
    dead_letters: int = 0
    journal: int = 0
    ids: int = 0
    history: int = 0
    persons: int = 0
    mutes: int = 0
    tickets: int = 0

    def __add__(self, other: Forgotten) -> Forgotten:
        names = self.__dataclass_fields__
        sums = (one + two for one, two in zip(astuple(self), astuple(other), strict=True))
        return Forgotten(**dict(zip(names, sums, strict=True)))
