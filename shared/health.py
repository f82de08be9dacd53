"""
``/healthz``, ``/readyz`` and ``/metrics``, on both services and without token.

Alive means that the loop turns: a process that is not should be started again. Ready means that
messages are kept, in Redis or in the spool: a process that cannot should get no traffic, and
starting it again helps nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from shared.errors import InturnError, RequestRefused
from shared.metrics import CONTENT_TYPE, StoreMetrics

READY_WITHIN_S = 2.0
"""A probe that waits 3 s gets the answer with its reason, and not a timeout."""

HealthCheck = Callable[[], Awaitable[str | None]]
"""What is wrong with Redis in one sentence, or None. May raise ``InturnError``."""

Instead = Callable[[], str | None]
"""What keeps messages while Redis does not, in one sentence, or None: nothing does."""


class Health:
    """The three endpoints."""

    def __init__(
        self,
        check: HealthCheck,
        metrics: StoreMetrics,
        within_s: float = READY_WITHIN_S,
        *,
        instead: Instead = lambda: None,
        shows_metrics: bool = True,
    ) -> None:
        """``shows_metrics`` off: whoever asks here does not know which process answers."""
        self._check = check
        self._instead = instead
        self._metrics = metrics
        self._within_s = within_s
        self._shows_metrics = shows_metrics

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [
            web.get("/healthz", self.is_alive),
            web.get("/readyz", self.is_ready),
            web.get("/metrics", self.show_metrics),
        ]

    async def is_alive(self, _request: web.Request) -> web.Response:
        """200: the loop turned to answer this."""
        return web.json_response({"status": "ok"})

    async def is_ready(self, _request: web.Request) -> web.Response:
        """
        200, or 503 with what is wrong.

        ``degraded`` is 200, too: who sends here is served, and should be told of what is wrong
        by the metrics rather than by a load balancer that takes every instance out at once.
        """
        problem = await self._problem()
        if problem is None:
            return web.json_response({"status": "ok"})
        instead = self._instead()
        if instead is not None:
            return web.json_response({"status": "degraded", "message": f"{problem}; {instead}"})
        error = {"code": "unavailable", "message": problem}
        return web.json_response({"status": "unavailable", "error": error}, status=503)

    async def show_metrics(self, _request: web.Request) -> web.Response:
        """
        Prometheus's text format.

        Raises:
            RequestRefused: 404; counters that jump from process to process would be nonsense.
        """
        if not self._shows_metrics:
            why = "each process shows its own on METRICS_PORT and the ports after it"
            raise RequestRefused(404, "metrics_elsewhere", why)
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _problem(self) -> str | None:
        try:
            async with asyncio.timeout(self._within_s):
                return await self._check()
        except TimeoutError:
            return f"Redis did not answer within {self._within_s:g} s"
        except InturnError as error:
            return str(error)
