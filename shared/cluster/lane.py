"""
The commands of one slot, in order though the slot moves.

A node that has a slot no more, or gives it away just now, does not execute a command but says who
should be asked. Commands that came later must not overtake the one that is asked again: while any
of a slot's commands is, those behind it are held until all before them are settled. The same where
another command has told that the slot moved: what is on its way to the old node goes first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from shared.cluster.slot_map import Place
from shared.command import Command, Failure, settle_all
from shared.errors import BrokerRefused, BrokerUnavailable

_FAILURES = (BrokerRefused, BrokerUnavailable)


class Judge(Protocol):
    """Who sends errands, and knows what becomes of those that fail."""

    def owner(self, slot: int) -> Place | None:
        """The node that has a slot, as far as is known."""

    def post(self, errand: Errand) -> None:
        """Send it to the node that should have it; it is not settled before this returns."""

    def judge(self, errand: Errand, failure: Failure) -> Failure | float:
        """What its command is told; or it is sent again, after so many seconds."""

    def limit_s(self) -> float:
        """Until when what waits from now on is sent again (the loop's time)."""


class Errand:
    """
    One command on its way to the node that has its slot (a ``Command`` for that node's pipe).

    ``asked``: the node that has it. ``asks``: the one that ASK named, for the next time alone.
    ``tries``: how often it was sent again; ``until_s``: when that has an end (the loop's time),
    known once it waits.
    """

    __slots__ = ("asked", "asks", "command", "lane", "tries", "until_s")

    def __init__(self, command: Command, lane: Lane) -> None:
        self.command = command
        self.lane = lane
        self.asked: Place | None = None
        self.asks: Place | None = None
        self.tries = 0
        self.until_s = 0.0

    @property
    def count(self) -> int:
        """As its command's."""
        return self.command.count

    @property
    def key(self) -> str:
        """As its command's."""
        return self.command.key

    def is_wanted(self) -> bool:
        """As its command; one that is not is never settled, and has ended."""
        if self.command.is_wanted():
            return True
        self.lane.end()
        return False

    def pack(self) -> bytes:
        """As its command."""
        return self.command.pack()

    def settle(self, answer: Any, lacks: str | None = None) -> BrokerRefused | None:
        """Tell the command, unless it was not executed and another node is to be asked."""
        if isinstance(answer, _FAILURES):
            answer = self.lane.judge.judge(self, answer)
            if isinstance(answer, float):
                self.lane.send_again(self, answer)
                return None
        refused = self.command.settle(answer, lacks)
        self.lane.end()
        return refused


class Asking:
    """Goes before an errand to a node that gets the slot just now; without it, it would refuse."""

    count = 0
    """So that no batch ends between the two."""

    key = ""

    def __init__(self, errand: Errand, packed: bytes) -> None:
        self._errand = errand
        self._packed = packed

    def is_wanted(self) -> bool:
        """As what follows: it would let through what comes instead."""
        return self._errand.command.is_wanted()

    def pack(self) -> bytes:
        """ASKING."""
        return self._packed

    def settle(self, _answer: Any, _lacks: str | None = None) -> BrokerRefused | None:
        """What follows has an answer of its own."""
        return None


class Lane:
    """
    Of one slot: its errands are under way, to be sent ``again``, or came ``behind`` those.

    ``place``: where the last one was sent.
    """

    __slots__ = (
        "_again",
        "_behind",
        "_is_held",
        "_pause_s",
        "_timer",
        "_under_way",
        "judge",
        "place",
        "slot",
    )

    def __init__(self, slot: int, judge: Judge) -> None:
        self.slot = slot
        self.judge = judge
        self.place: Place | None = None
        self._under_way = 0
        self._again: deque[Errand] = deque()
        self._behind: deque[Errand] = deque()
        self._is_held = False
        self._pause_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, command: Command) -> None:
        """Send it, behind all that were added before."""
        errand = Errand(command, self)
        if self._under_way and self.judge.owner(self.slot) != self.place:
            self._is_held = True
        if self._is_held:
            errand.until_s = self.judge.limit_s()
            self._behind.append(errand)
        else:
            self._post(errand)

    def end(self) -> None:
        """One of them is settled, or nobody wants it any more."""
        self._under_way -= 1
        if self._is_held and not self._under_way:
            self._go_on()

    def send_again(self, errand: Errand, pause_s: float) -> None:
        """It was not executed: send it again, once all that left with it are settled."""
        self._is_held = True
        self._again.append(errand)
        self._pause_s = max(self._pause_s, pause_s)
        self.end()

    def close(self, failure: Failure) -> None:
        """Nothing is sent any more."""
        if self._timer is not None:
            self._timer.cancel()
        for held in (self._again, self._behind):
            settle_all((errand.command for errand in held), failure)
            held.clear()

    def _go_on(self) -> None:
        if not self._again:
            self._is_held = False
            self._post_all(self._behind)
        elif self._pause_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause_s, self._post_again)
        else:
            self._post_again()

    def _post_again(self) -> None:
        self._timer, self._pause_s = None, 0.0
        self._post_all(self._again)

    def _post_all(self, errands: deque[Errand]) -> None:
        waiting = list(errands)
        errands.clear()
        for errand in waiting:
            self._post(errand)

    def _post(self, errand: Errand) -> None:
        self._under_way += 1
        self.judge.post(errand)
