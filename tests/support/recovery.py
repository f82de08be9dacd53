"""What a ledger tells of a system whose server went: what went with it, and when it is back."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.support.ledger import Ledger, Who
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess


class Recovery:
    """When ``users`` messages were accepted and handled again after a moment."""

    def __init__(self, ledger: Ledger, users: int) -> None:
        self._ledger = ledger
        self._users = users
        self._began_s = time.monotonic()
        self._accepted, self._handled = ledger.accepted_count, ledger.handled_count
        self.accepted_s = self.handled_s = float("inf")

    def is_over(self) -> bool:
        """Both again: some were accepted, and more were handled than had been accepted."""
        now_s = time.monotonic() - self._began_s
        if self._ledger.accepted_count > self._accepted + self._users:
            self.accepted_s = min(self.accepted_s, now_s)
        if self._ledger.handled_count > self._handled + self._users:
            self.handled_s = min(self.handled_s, now_s)
        return max(self.accepted_s, self.handled_s) < float("inf")


def lose(server: RedisServer, fault: str) -> None:
    """It is ``killed``, or only ``paused`` and does not know that it was away."""
    if fault == "killed":
        server.kill()
    else:
        server.pause()


def assert_running(services: Iterable[ServiceProcess]) -> None:
    """Nobody has crashed."""
    for service in services:
        assert service.is_running(), f"it ended: {service.log}"


def lost_of(ledger: Ledger) -> set[tuple[Who, str]]:
    """What was accepted and is in no call of the handler."""
    accepted = {(who, raw.message_id) for who, rows in ledger.accepted.items() for raw in rows}
    return accepted - {(call.who, member) for call in ledger.calls for member in call.members}


def handled_since(ledger: Ledger, at_ms: float) -> set[Who]:
    """Users of whom a message was handled that was accepted after a moment (Redis's ms)."""
    handled = {(call.who, member) for call in ledger.calls for member in call.members}
    return {
        who
        for who, rows in ledger.accepted.items()
        if any(raw.ms > at_ms and (who, raw.message_id) in handled for raw in rows)
    }


def out_of_order(ledger: Ledger) -> dict[Who, list[str]]:
    """The users whose messages were handled first in another order than they were accepted in."""
    seen: dict[Who, dict[str, None]] = {}
    for call in ledger.calls:
        seen.setdefault(call.who, {}).update(dict.fromkeys(call.members))
    return {
        who: list(seen.get(who, ()))
        for who, rows in ledger.accepted.items()
        if list(seen.get(who, ())) != [raw.message_id for raw in rows]
    }
