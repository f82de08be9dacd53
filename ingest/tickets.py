"""``/api/v1/queue/...``: tickets over HTTP. No Redis, no number: nothing is ever spooled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.body import BodyReader
from ingest.ticket_counts import TicketCounts
from shared.errors import BrokerUnavailable, NotConnected, RequestRefused
from shared.payload import parse_json
from shared.tickets import Called, Tickets

PATH = "/api/v1/queue"

BODY_MAX_BYTES = 65_536
"""Room for a name that is far too long, so that the answer can say so."""

KEY_HEADER = "Idempotency-Key"

log: FilteringBoundLogger = structlog.get_logger()


class TicketsApi:
    """The endpoints. Access was checked before they are called."""

    def __init__(self, tickets: Tickets, counts: TicketCounts) -> None:
        self._tickets = tickets
        self._counts = counts
        self._bodies = BodyReader()

    def open_routes(self) -> list[web.RouteDef]:
        """For whoever comes to a clinic."""
        return [
            web.post(f"{PATH}/enter", self.enter),
            web.get(f"{PATH}/status", self.status),
            web.get(f"{PATH}/days", self.days),
        ]

    def staff_routes(self) -> list[web.RouteDef]:
        """For who has the token."""
        return [web.post(f"{PATH}/done", self.done), web.post(f"{PATH}/reset", self.reset)]

    async def enter(self, request: web.Request) -> web.Response:
        """
        200 with the user's number, which is theirs from now on. May be sent again.

        Raises:
            RequestRefused: 4xx, nothing has changed.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        asked = await self._read(request, "clinic", "user")
        entered = await self._tickets.enter(asked["clinic"], asked["user"], _key_of(request))
        self._counts.entered(entered)
        if not entered.already:
            log.info("ticket.entered", clinic=self._shown(entered.clinic), number=entered.number)
        return json_answer(
            {
                "success": True,
                "clinic": entered.clinic,
                "user": entered.user,
                "number": entered.number,
                "ahead": entered.ahead,
                "waiting": entered.waiting,
                "already": entered.already,
            }
        )

    async def status(self, request: web.Request) -> web.Response:
        """
        200 with the queue as it is, and where ``user`` stands in it, if one is asked for.

        Raises:
            RequestRefused: 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        asked = _query_of(request, required=("clinic",), optional=("user",))
        status = await self._tickets.status(asked["clinic"], asked.get("user"))
        return json_answer(status.face())

    async def days(self, request: web.Request) -> web.Response:
        """
        200 with the finished days, newest last; no user is in them.

        Raises:
            RequestRefused: 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        clinic = _query_of(request, required=("clinic",))["clinic"]
        days = await self._tickets.days(clinic)
        return json_answer({"clinic": clinic, "days": [day.face() for day in days]})

    async def done(self, request: web.Request) -> web.Response:
        """
        200 once the number served is finished and the next one called, if there is one.

        Raises:
            RequestRefused: 4xx, nothing has changed; 503, unknown whether.
            NotConnected, BrokerRefused: answer 503, nothing has changed.
        """
        status = (await self._change(request, self._tickets.done)).status
        log.info("ticket.called", clinic=self._shown(status.clinic), number=status.serving)
        return json_answer({"success": True, **status.face()})

    async def reset(self, request: web.Request) -> web.Response:
        """
        200 once numbers begin at 1 again.

        Raises:
            RequestRefused: 4xx, nothing has changed; 503, unknown whether.
            NotConnected, BrokerRefused: answer 503, nothing has changed.
        """
        status = (await self._change(request, self._tickets.reset)).status
        log.info("queue.reset", clinic=self._shown(status.clinic))
        return json_answer({"success": True, **status.face()})

    async def _change(
        self, request: web.Request, change: Callable[[str, str | None], Awaitable[Called]]
    ) -> Called:
        clinic = (await self._read(request, "clinic"))["clinic"]
        try:
            called = await change(clinic, _key_of(request))
        except BrokerUnavailable as error:
            raise _unless_certain(error) from error
        self._counts.called(called)
        return called

    async def _read(self, request: web.Request, *names: str) -> dict[str, str]:
        with await self._bodies.read(request, BODY_MAX_BYTES) as body:
            payload = parse_json(body)
        if not isinstance(payload, dict):
            raise RequestRefused(400, "invalid_field", "the body must be a JSON object")
        return _texts(payload, names)

    def _shown(self, clinic: str) -> str | None:
        """Names that anybody may make up are not logged."""
        return clinic if clinic in self._tickets.clinics else None


def _unless_certain(error: BrokerUnavailable) -> Exception:
    """To send such a call again could skip a person."""
    if isinstance(error, NotConnected):
        return error
    why = "Redis gave no answer: it may have been done, or not; look at the status first"
    return RequestRefused(503, "outcome_unknown", why)


def _key_of(request: web.Request) -> str | None:
    keys = request.headers.getall(KEY_HEADER, ())
    if len(keys) > 1:
        raise RequestRefused(400, "invalid_field", f"{KEY_HEADER} came more than once")
    return keys[0] if keys else None


def _query_of(
    request: web.Request, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, str]:
    known = (*required, *optional)
    for name in known:
        if len(request.query.getall(name, ())) > 1:
            raise RequestRefused(400, "invalid_field", f"{name} stands in the query twice")
    given = {name: request.query[name] for name in known if name in request.query}
    return {**_texts({name: given.get(name) for name in required}, required), **given}


def _texts(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    if values.keys() - set(names):
        raise RequestRefused(400, "unknown_field", f"known here: {', '.join(names)}")
    for name in names:
        if values.get(name) is None:
            raise RequestRefused(400, "missing_field", f"{name} is missing")
        if not isinstance(values[name], str):
            raise RequestRefused(400, "invalid_field", f"{name} must be a text")
    return {name: values[name] for name in names}
