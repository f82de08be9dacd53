"""
What was sent, accepted and handled, kept outside Redis, and what must be true of it.

The windows are judged by the naive cutter over the entry ids that ingest answered with: nothing
here asks Redis or imports what it judges.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from ops.chaos.cutter import Raw, cut_naively
from tests.support.handler_server import Answer, HandlerCall

Who = tuple[str, str]
"""(instance, user)."""


@dataclass(frozen=True, kw_only=True)
class LedgerRules:
    """The settings that shape a window, for the naive cutter."""

    max_wait_ms: int
    max_messages: int = 5
    quiet_ms: int = 0
    pass_through: bool = False


class Handled(NamedTuple):
    """One call of the handler: which window, its members' message ids, and when."""

    who: Who
    window_id: str
    attempt: int
    members: tuple[str, ...]
    began_s: float


class Ledger:
    """Sends messages, answers windows, and compares the two."""

    def __init__(self) -> None:
        self.accepted: dict[Who, list[Raw]] = defaultdict(list)
        self.calls: list[Handled] = []
        self.ended_s: dict[int, float] = {}
        self.overlaps: list[str] = []
        self.mistakes: list[str] = []
        self.hold: Callable[[HandlerCall], Awaitable[object]] | None = None
        self.fails: Callable[[HandlerCall], bool] = lambda _call: False
        self.failed: set[str] = set()
        self.sends_again: Callable[[], bool] = lambda: False
        self.in_hand: dict[Who, str] = {}
        self._serial = itertools.count(1)

    # Sending

    async def send(
        self, session: aiohttp.ClientSession, url: str, whom: Iterable[Who], text: str = "hello"
    ) -> None:
        """
        One message of each, in one request to ingest; sent again until it is accepted.

        What is spooled has no entry yet: it counts as one of now, and is no matter for the cutter.

        Where ``sends_again`` says so it is sent once more, as a provider does that missed the
        answer, and must be known by its entries.
        """
        messages = [
            {
                "instance": instance,
                "user": user,
                "text": f"{text} {number}",
                "message_id": f"M{number}",
            }
            for (instance, user), number in zip(whom, self._serial, strict=False)
        ]
        accepted = await self._post(session, url, messages)
        if self.sends_again():
            again = await self._post(session, url, messages)
            if [kept["entry_id"] for kept in again] != [kept["entry_id"] for kept in accepted]:
                self.mistakes.append(f"sent again, {messages} became other entries")
        for message, kept in zip(messages, accepted, strict=True):
            ms, _, seq = (kept["entry_id"] or f"{round(time.time() * 1000)}-0").partition("-")
            raw = Raw(int(ms), int(seq), message["message_id"])
            self.accepted[message["instance"], message["user"]].append(raw)

    async def _post(
        self, session: aiohttp.ClientSession, url: str, messages: list[dict[str, str]]
    ) -> list[dict[str, Any]]:
        while True:
            try:
                request = session.post(f"{url}/api/v1/messages", json={"messages": messages})
                async with request as answer:
                    if answer.status == 202:
                        accepted: list[dict[str, Any]] = (await answer.json())["accepted"]
                        return accepted
                    assert answer.status == 503, await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    def shift(self, by_ms: int) -> None:
        """Somebody has moved every entry so far by so many ms."""
        for who, entries in self.accepted.items():
            self.accepted[who] = [raw._replace(ms=raw.ms + by_ms) for raw in entries]

    @property
    def accepted_count(self) -> int:
        """Messages that ingest took."""
        return sum(len(entries) for entries in self.accepted.values())

    # Handling

    async def answer(self, call: HandlerCall) -> Answer:
        """What a ``HandlerServer`` answers: after ``hold``, with the window's own id."""
        body: dict[str, Any] = call.json
        who = (body["instance"], body["user"])
        number = len(self.calls)
        members = tuple(message["message_id"] for message in body["messages"])
        self.calls.append(Handled(who, body["window_id"], body["attempt"], members, call.at_s))
        if self.in_hand.get(who, body["window_id"]) != body["window_id"]:
            self.overlaps.append(f"{who}: {self.in_hand[who]} and {body['window_id']}")
        self.in_hand[who] = body["window_id"]
        if self.hold is not None:
            await self.hold(call)
        if self.in_hand.get(who) == body["window_id"]:
            del self.in_hand[who]
        self.ended_s[number] = time.monotonic()
        if self.fails(call):
            self.failed.add(body["window_id"])
            return Answer(status=500)
        return Answer.reply(body["window_id"])

    @property
    def handled_count(self) -> int:
        """Messages that some call held."""
        return len({(call.who, member) for call in self.calls for member in call.members})

    @property
    def window_ids(self) -> set[str]:
        """Every window that was handed over."""
        return {call.window_id for call in self.calls}

    @property
    def repeated(self) -> set[str]:
        """The windows that were handed over more than once."""
        counts = Counter(call.window_id for call in self.calls)
        return {window_id for window_id, count in counts.items() if count > 1}

    @property
    def outlived(self) -> list[Handled]:
        """
        Calls that came after a later attempt of their window: the caller was taken for dead.

        A worker that is stopped between its last look at its lease and the sending of its
        request makes such a call when it wakes; its result is refused.
        """
        found: list[Handled] = []
        newest: dict[str, int] = {}
        for call in self.calls:
            if call.attempt < newest.get(call.window_id, 0):
                found.append(call)
            newest[call.window_id] = max(call.attempt, newest.get(call.window_id, 0))
        return found

    # Judging

    def problems(self, rules: LedgerRules) -> list[str]:
        """
        Everything that the promises forbid, in words.

        Lost messages, messages in two windows, windows with two extents, windows that are not
        those of the naive cutter, and a user's windows out of order. A call that comes late
        under an older attempt is not among them: see ``outlived``.
        """
        found = list(self.mistakes)
        extents: dict[str, tuple[str, ...]] = {}
        order: dict[Who, list[str]] = defaultdict(list)
        outlived = set(self.outlived)
        for call in self.calls:
            if extents.setdefault(call.window_id, call.members) != call.members:
                found.append(f"{call.window_id} has two extents")
            if call.window_id not in order[call.who]:
                order[call.who].append(call.window_id)
            elif call.window_id != order[call.who][-1] and call not in outlived:
                found.append(f"{call.window_id} came again after a later window")
        for who, entries in self.accepted.items():
            got = [extents[window_id] for window_id in order[who]]
            members = [member for extent in got for member in extent]
            lost = {raw.message_id for raw in entries} - set(members)
            if lost:
                found.append(f"{who} lost {sorted(lost)}")
            if len(members) != len(set(members)):
                found.append(f"{who} has messages in two windows")
            if members != [raw.message_id for raw in entries]:
                found.append(f"{who} is out of order: {members}")
            wanted = [
                tuple(raw.message_id for raw in window.members)
                for window in cut_naively(entries, rules)
            ]
            if got != wanted:
                found.append(f"{who} was cut {got}, not {wanted}")
        return found
