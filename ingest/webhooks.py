"""
``POST /webhooks/<provider>[/<instance>]``, also with the suffix that a provider adds per event.

The raw bytes are verified before anything in them is believed. Where the path names no instance,
the payload's own name only says whose secrets must vouch for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.auth import WebhookGuard
from ingest.body import BodyReader, body_limit, parse_json
from ingest.front import Shortcut
from ingest.intake import Intake
from shared.errors import RequestRefused
from shared.keys import is_instance_name
from shared.metrics import IngestMetrics
from shared.providers import Parsed, ParseOptions, Provider, WebhookRequest
from shared.settings import Settings

ROUTE = "/webhooks/{provider}/{instance}"

log: FilteringBoundLogger = structlog.get_logger()


class Webhooks:
    """The endpoints of all providers."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        intake: Intake,
        bodies: BodyReader,
        metrics: IngestMetrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._instances = settings.instances
        self._providers = providers
        self._limits = {
            inline: body_limit(settings, inline_media=inline) for inline in (False, True)
        }
        self._max_age_ms = settings.max_age_ms
        self._media_inline_bytes = settings.media_inline_bytes
        self._store_raw = settings.store_raw
        self._store_raw_of = {
            name: own.store_raw
            for name, own in settings.instances.items()
            if own.store_raw is not None
        }
        self._guard = WebhookGuard(settings)
        self._intake = intake
        self._bodies = bodies
        self._metrics = metrics
        self._now_ms = now_ms

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; a slash too many at the end does no harm."""
        paths = (
            "/webhooks/{provider}/{instance:[^/]*}",
            "/webhooks/{provider}",
            "/webhooks/{provider}/{instance}/{event:[^/]*}",
        )
        return [web.post(path, self.receive) for path in paths]

    def shortcuts(self) -> dict[str, Shortcut]:
        """To the instances that are set, as their own provider is told to send to them."""
        found = {}
        for name, own in self._instances.items():
            provider = self._providers.get(own.provider or "")
            if provider is not None and name not in provider.event_suffixes:
                take = partial(self._take, provider=provider, path_instance=name)
                found[f"/webhooks/{own.provider}/{quote(name, safe='')}"] = Shortcut(ROUTE, take)
        return found

    async def receive(self, request: web.Request) -> web.Response:
        """
        200 with the entry ids when every message is kept, also when there is none.

        Raises:
            RequestRefused: 4xx, nothing is stored.
            BrokerUnavailable, BrokerRefused: answer 503, and the provider sends again.
        """
        provider = self._provider(request)
        return await self._take(request, provider, _instance_in_path(request, provider))

    async def _take(
        self, request: web.Request, provider: Provider, path_instance: str | None
    ) -> web.Response:
        limit = self._limits[provider.has_inline_media]
        with await self._bodies.read(request, limit) as body:
            instance, payload = self._verified(request, provider, body, path_instance)
            parsed = provider.parse(payload, self._options(path_instance, instance))
            _refuse_foreign(parsed, instance)
            kept = await self._intake.take(parsed.messages)
        self._count_ignored(provider.name, parsed.ignored)
        return json_answer({"accepted": kept, "ignored": parsed.ignored})

    def _provider(self, request: web.Request) -> Provider:
        provider = self._providers.get(request.match_info["provider"])
        if provider is None:
            known = ", ".join(sorted(self._providers))
            raise RequestRefused(
                404, "unknown_provider", f"provider in the path is not known; known: {known}"
            )
        return provider

    def _verified(
        self, request: web.Request, provider: Provider, body: bytes, path_instance: str | None
    ) -> tuple[str | None, Any]:
        """The instance that the request may speak for, and its JSON."""
        evidence = WebhookRequest(body=body, headers=request.headers)
        if path_instance is not None:
            self._guard.check(request, provider, evidence, path_instance)
            return path_instance, parse_json(body)
        try:
            payload = parse_json(body)
        except RequestRefused:
            self._guard.check(request, provider, evidence, None)
            raise
        instance = provider.instance_of(payload)
        self._guard.check(request, provider, evidence, instance)
        return instance, payload

    def _options(self, path_instance: str | None, instance: str | None) -> ParseOptions:
        return ParseOptions(
            path_instance=path_instance,
            received_at=self._now_ms(),
            max_age_ms=self._max_age_ms,
            media_inline_bytes=self._media_inline_bytes,
            store_raw=self._store_raw_of.get(instance or "", self._store_raw),
        )

    def _count_ignored(self, provider: str, ignored: Mapping[str, int]) -> None:
        for kind, count in ignored.items():
            self._metrics.messages_ignored_total.labels(provider, kind).inc(count)
            log.debug("message.ignored", provider=provider, kind=kind, count=count)


def _instance_in_path(request: web.Request, provider: Provider) -> str | None:
    """The path's instance; a known event suffix is none, wherever it stands."""
    instance = request.match_info.get("instance") or None
    event = request.match_info.get("event") or None
    if event is not None and event not in provider.event_suffixes:
        raise RequestRefused(404, "not_found", "there is nothing at this path")
    if instance is None or instance in provider.event_suffixes:
        return None
    if not is_instance_name(instance):
        raise RequestRefused(400, "invalid_field", "instance in the path is not a name")
    return instance


def _refuse_foreign(parsed: Parsed, instance: str | None) -> None:
    """Who was verified for one instance speaks for no other."""
    for message in parsed.messages:
        if message.instance != instance:
            why = "instance differs from the one that is verified"
            raise RequestRefused(400, "invalid_field", why)
