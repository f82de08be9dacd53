"""
``/playground``: a page on which one writes as a user does, and sees the window that comes of it.

It has no way of its own through the service: the page posts to ``/api/v1/messages``, and asks
``/api/v1/conversations`` where its messages are, as any program may. Its instance has no provider,
so that a reply is kept in the outbox to be read, for ``retention_ms``, and reaches nobody else.
The page itself is the same bytes for everybody and needs no token; what it asks for does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from ingest.answers import json_answer
from ingest.auth import is_loopback_name
from ingest.static_files import static_file
from shared.errors import RequestRefused, StartRefused
from shared.handlers.kinds import handler_kind
from shared.settings import Settings
from shared.steering import Steering
from shared.window import rules_for

INSTANCE = "playground"
PATH = "/playground"
RULES_PATH = "/api/v1/playground"


def is_playground_on(settings: Settings, *, embeds_redis: bool) -> bool:
    """
    Whether this service has one: as ``PLAYGROUND`` says; else with a private Redis, and only where
    nobody but this machine is let in. An account of that name would send what is kept to be read.

    Raises:
        StartRefused: it is switched on, and its instance is a provider's account.
    """
    is_account = settings.instance(INSTANCE).provider is not None
    if settings.playground is None:
        return embeds_redis and is_loopback_name(settings.host) and not is_account
    if settings.playground and is_account:
        problem = f"INTURN_PLAYGROUND: is on, but [instances.{INSTANCE}] has a provider"
        raise StartRefused([f"{problem}: give that account another name"])
    return settings.playground


class Playground:
    """The page and what it must know; where it is not ``is_on``, both are 404."""

    def __init__(
        self, settings: Settings, read_steering: Callable[[], Awaitable[Steering]], *, is_on: bool
    ) -> None:
        self._settings = settings
        self._read_steering = read_steering
        self._is_on = is_on

    def open_routes(self) -> list[web.RouteDef]:
        """What holds no data."""
        return [web.get(PATH, self.show_page)]

    def routes(self) -> list[web.RouteDef]:
        """What needs the token."""
        return [web.get(RULES_PATH, self.show_rules)]

    async def show_page(self, request: web.Request) -> web.Response:
        """
        The page.

        Raises:
            RequestRefused: 404, it is off.
        """
        self._refuse_when_off()
        return static_file("playground/playground.html").answer(request)

    async def show_rules(self, _request: web.Request) -> web.Response:
        """
        What shapes the page's windows, and which kind of handler gets them.

        Raises:
            RequestRefused: 404, it is off.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        self._refuse_when_off()
        steering = await self._read_steering()
        rules = rules_for(self._settings, INSTANCE, None, steering)
        handler = self._settings.instance(INSTANCE).handler or self._settings.handler
        return json_answer(
            {
                "instance": INSTANCE,
                "max_wait_ms": rules.max_wait_ms,
                "max_messages": rules.max_messages,
                "quiet_ms": rules.quiet_ms,
                "pass_through": rules.pass_through,
                "paused": steering.is_paused(INSTANCE, None),
                # the kind alone: an endpoint's URL may hold what is secret
                "handler": handler_kind(handler),
            }
        )

    def _refuse_when_off(self) -> None:
        if not self._is_on:
            raise RequestRefused(404, "not_found", "INTURN_PLAYGROUND is off here")
