"""The store of tickets: one typed method for each verb, and for what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, tzinfo
from typing import Any

from shared.connect import Pipe
from shared.date_zone import time_zone
from shared.errors import RequestRefused
from shared.keys import ClinicKeys, is_instance_name, ticket_hash, tickets_channel
from shared.message_form import is_user
from shared.scripts import load_script
from shared.settings import Settings
from shared.tickets.model import Called, Change, Day, Entered, Event, Gap, Snapshot, Status

EVENTS_KEPT = 2000
"""Events of a clinic at least: of 700 users and more, which is a full day."""

DAYS_KEPT = 400
"""Finished days of a clinic: a year, and a comparison with the year before."""

KEY_MAX_CHARS = 256

_NOTHING_YET = "0-0"
_EVENT_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_IDS_END = 2**64
_ALREADY, _FULL, _KEY_TAKEN = 1, 2, 3


class Tickets:
    """
    The queues of all clinics under one prefix; ``clinics``: only of these, if it names any.

    Every method may raise

        RequestRefused: 4xx, and nothing was changed: 404 ``unknown_clinic``, 400 ``invalid_field``
            of a name that is none.
        NotConnected, BrokerRefused: certainly not executed.
        BrokerUnavailable: unknown whether it was executed; nothing is repeated here. ``enter`` may
            be called again, ``done`` and ``reset`` only with the same ``key``: else they act twice.

    ``key``: an Idempotency-Key. Until the next reset a call with a known one changes nothing.
    """

    def __init__(
        self,
        pipe: Pipe,
        prefix: str,
        *,
        clinics: Collection[str] = (),
        waiting_max: int = 0,
        zone: tzinfo = UTC,
        reads: Pipe | None = None,
    ) -> None:
        self.clinics = frozenset(clinics)
        self.channel = tickets_channel(prefix)
        self._pipe = pipe
        self._reads = reads or pipe
        self._prefix = prefix
        self._waiting_max = waiting_max
        self._zone = zone

    @classmethod
    def for_settings(cls, settings: Settings, pipe: Pipe, reads: Pipe | None = None) -> Tickets:
        """With the limits of ``settings``; ``reads``: where to ask what changes nothing."""
        return cls(
            pipe,
            settings.prefix,
            clinics=settings.ticket_clinics,
            waiting_max=settings.ticket_waiting_max,
            zone=time_zone(settings.ticket_timezone),
            reads=reads,
        )

    async def enter(self, clinic: str, user: str, key: str | None = None) -> Entered:
        """
        The next number; of a user who waits or is being served, the one that they have.

        After a crash the user has the number or has none, and entering again tells.

        Raises:
            RequestRefused: also 409 ``queue_full``, and ``key_taken`` by another user.
        """
        of = self._keys(clinic)
        _check_user(user)
        keys = (of.queue, of.tickets, of.numbers, of.idempotent, of.events)
        args = (user, _hashed("enter", key), self._waiting_max, EVENTS_KEPT, self.channel, clinic)
        code, numbers, number = await self._pipe.script(load_script("ticket_enter"), keys, args)
        if code == _FULL:
            raise RequestRefused(409, "queue_full", "too many wait already; come back later")
        if code == _KEY_TAKEN:
            claim = "this Idempotency-Key was used for another user"
            raise RequestRefused(409, "key_taken", claim)
        status = Status.of(clinic, numbers[:5])
        return Entered(
            clinic=clinic,
            user=user,
            number=int(number),
            ahead=status.place_of(int(number)).ahead or 0,
            waiting=status.waiting,
            already=code == _ALREADY,
        )

    async def status(self, clinic: str, user: str | None = None) -> Status:
        """The queue now, and where ``user`` stands in it."""
        if user is not None:
            _check_user(user)
        numbers, number, _ = await self._look(clinic, user or "")
        status = Status.of(clinic, numbers)
        return status if user is None else Status.of(clinic, numbers, status.place_of(int(number)))

    async def snapshot(self, clinic: str) -> Snapshot:
        """The queue now, and the event that led to it: what follows comes behind that one."""
        numbers, _, event_id = await self._look(clinic, "")
        return Snapshot(status=Status.of(clinic, numbers), event_id=event_id.decode())

    async def done(self, clinic: str, key: str | None = None) -> Called:
        """Finish the number being served and call the next one; nothing where there is neither."""
        of = self._keys(clinic)
        keys = (of.queue, of.tickets, of.idempotent, of.events)
        args = (_hashed("done", key), EVENTS_KEPT, self.channel, clinic)
        _, numbers, ended, waited = await self._pipe.script(load_script("ticket_done"), keys, args)
        return Called(
            status=Status.of(clinic, numbers[:5]),
            finished=int(ended) or None,
            waited_ms=None if waited < 0 else int(waited),
        )

    async def reset(self, clinic: str, key: str | None = None) -> Called:
        """
        Numbers begin at 1 again; who waited is forgotten, what the day came to is kept.

        Where nobody has entered since the last reset, nothing changes, and no day is kept.
        """
        of = self._keys(clinic)
        keys = (of.queue, of.tickets, of.numbers, of.idempotent, of.days, of.events)
        args = (_hashed("reset", key), EVENTS_KEPT, DAYS_KEPT, self.channel, clinic)
        _, numbers, ended = await self._pipe.script(load_script("ticket_reset"), keys, args)
        return Called(status=Status.of(clinic, numbers[:5]), finished=int(ended) or None)

    async def days(self, clinic: str) -> list[Day]:
        """The finished days, newest last; a date on which two resets were is there twice."""
        rows = await self._reads.call("LRANGE", self._keys(clinic).days, 0, -1)
        return [self._day(row) for row in rows]

    async def events_since(
        self, clinic: str, event_id: str, count: int = 1000
    ) -> list[Event] | Gap:
        """
        The events behind ``event_id``, oldest first, ``count`` at most; ``0-0``: from the first.

        A ``Gap`` where that event is none, or not kept any more.
        """
        of = self._keys(clinic)
        if not is_event_id(event_id):
            return Gap()
        is_first = event_id == _NOTHING_YET
        rows = await self._reads.call("XRANGE", of.events, event_id, "+", "COUNT", count + 1)
        if not is_first and (not rows or rows[0][0] != event_id.encode()):
            return Gap()
        events = [_event(clinic, *row) for row in (rows[:count] if is_first else rows[1:])]
        return Gap() if is_first and events and events[0].seq != 1 else events

    async def event(self, clinic: str, event_id: str) -> Event | None:
        """One event; None where there is none of this id, or it is not kept any more."""
        of = self._keys(clinic)
        if not is_event_id(event_id):
            return None
        rows = await self._reads.call("XRANGE", of.events, event_id, event_id)
        return _event(clinic, *rows[0]) if rows else None

    def check_clinic(self, clinic: str) -> None:
        """
        Raises:
            RequestRefused: 404 ``unknown_clinic``, 400 ``invalid_field`` of a name that is none.
        """
        self._keys(clinic)

    def _keys(self, clinic: str) -> ClinicKeys:
        if not is_instance_name(clinic):
            claim = "clinic must have 1 to 128 characters, no control characters"
            raise RequestRefused(400, "invalid_field", claim)
        if self.clinics and clinic not in self.clinics:
            raise RequestRefused(404, "unknown_clinic", "there is no clinic of this name")
        return ClinicKeys.of(self._prefix, clinic)

    async def _look(self, clinic: str, user: str) -> Any:
        of = self._keys(clinic)
        keys = (of.queue, of.numbers, of.events)
        return await self._reads.script(load_script("ticket_status"), keys, (user,))

    def _day(self, row: bytes) -> Day:
        began, ended, last, called, finished, service_ms, wait_ms = map(int, row.split())
        return Day(
            date=datetime.fromtimestamp(began / 1000, self._zone).date(),
            began_ms=began,
            ended_ms=ended,
            last=last,
            served=called,
            unserved=last - called,
            average_service_s=_mean_s(service_ms, finished),
            average_wait_s=_mean_s(wait_ms, called),
        )


def is_event_id(text: str) -> bool:
    """Whether Redis can read it: two numbers of 64 bits."""
    found = _EVENT_ID.fullmatch(text)
    return found is not None and all(int(part) < _IDS_END for part in text.split("-"))


def _check_user(user: str) -> None:
    if not is_user(user):
        claim = "user must have 1 to 256 characters, not blank, no control characters"
        raise RequestRefused(400, "invalid_field", claim)


def _hashed(verb: str, key: str | None) -> bytes:
    """
    Raises:
        RequestRefused: 400, nobody writes such a key.
    """
    if key is None:
        return b""
    if not 0 < len(key) <= KEY_MAX_CHARS:
        claim = f"Idempotency-Key must have 1 to {KEY_MAX_CHARS} characters"
        raise RequestRefused(400, "invalid_field", claim)
    return ticket_hash(verb, key)


def _event(clinic: str, event_id: bytes, pairs: list[bytes]) -> Event:
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    numbers = [
        fields[name] for name in (b"last", b"called", b"serving", b"finished", b"service_ms")
    ]
    return Event(
        id=event_id.decode(),
        change=Change(fields[b"type"].decode()),
        number=int(fields[b"number"]),
        seq=int(fields[b"seq"]),
        at_ms=int(fields[b"at"]),
        status=Status.of(clinic, numbers),
    )


def _mean_s(sum_ms: int, count: int) -> float | None:
    return round(sum_ms / count / 1000, 3) if count else None
