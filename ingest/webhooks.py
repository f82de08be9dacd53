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
from multidict import MultiDict, MultiDictProxy
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer, plain_answer
from ingest.auth import WebhookGuard
from ingest.body import BodyReader, body_limit
from ingest.echoes import Judge, judge_nothing
from ingest.front import Shortcut
from ingest.intake import Intake
from ingest.recipients import Recipients, connection_of
from shared.errors import RequestRefused
from shared.keys import is_instance_name
from shared.metrics import IngestMetrics
from shared.providers import Parsed, ParseOptions, Provider, WebhookRequest
from shared.settings import Settings
from shared.traceparent import HEADER

_NO_QUERY: MultiDictProxy[str] = MultiDictProxy(MultiDict())
"""Of nearly every request: taking its URL apart to find no query is spared."""

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
        judge: Judge = judge_nothing,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._limits = {
            inline: body_limit(settings, inline_media=inline) for inline in (False, True)
        }
        self._guard = WebhookGuard(settings)
        self._intake = intake
        self._bodies = bodies
        self._metrics = metrics
        self._now_ms = now_ms
        self._judge = judge

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; a slash too many at the end does no harm."""
        paths = (
            "/webhooks/{provider}/{instance:[^/]*}",
            "/webhooks/{provider}",
            "/webhooks/{provider}/{instance:[^/]+}/{event:[^/]*}",
        )
        found = [web.post(path, self.receive) for path in paths]
        for name, provider in self._providers.items():
            its_paths = paths if provider.event_suffixes else paths[:-1]
            theirs = [path.replace("{provider}", f"{{provider:{name}}}") for path in its_paths]
            if "GET" in provider.greets or provider.takes_get:
                found += [web.get(path, self.receive_get, allow_head=False) for path in theirs]
            if "OPTIONS" in provider.greets:
                found += [web.options(path, self.greet) for path in theirs]
        return found

    def shortcuts(self) -> dict[str, Shortcut]:
        """To the instances that are set, as their own provider is told to send to them."""
        found = {}
        for name, own in self._settings.instances.items():
            provider = self._providers.get(own.provider or "")
            if provider is not None and name not in provider.event_suffixes:
                recipients = Recipients(name, provider, self._settings)
                take = partial(self._take, provider=provider, path_instance=name, to=recipients)
                found[f"/webhooks/{own.provider}/{quote(name, safe='')}"] = Shortcut(ROUTE, take)
        return found

    async def receive(self, request: web.Request) -> web.Response:
        """
        2xx in the provider's form when every message is kept, also when there is none.

        Raises:
            RequestRefused: 4xx, nothing is stored.
            BrokerUnavailable, BrokerRefused: answer 503, and the provider sends again.
        """
        provider = self._provider(request)
        return await self._take(request, provider, _instance_in_path(request, provider))

    async def receive_get(self, request: web.Request) -> web.Response:
        """A handshake, or a message from a provider that sends some with GET."""
        provider = self._provider(request)
        if (greeting := self._greeting(request, provider)) is not None:
            return greeting
        if not provider.takes_get:
            raise web.HTTPMethodNotAllowed("GET", ["POST"])
        return await self._take(request, provider, _instance_in_path(request, provider))

    async def greet(self, request: web.Request) -> web.Response:
        """
        A handshake that some providers make with OPTIONS.

        Raises:
            RequestRefused: 400, it lacks what the provider's handshakes carry.
        """
        provider = self._provider(request)
        greeting = self._greeting(request, provider)
        if greeting is None:
            raise RequestRefused(400, "no_handshake", f"it is no handshake of {provider.name}")
        return greeting

    def _greeting(self, request: web.Request, provider: Provider) -> web.Response | None:
        instance = _instance_in_path(request, provider)
        own = self._settings.instance(instance or "")
        answer = provider.greet(self._evidence(request, b""), own)
        if answer is None:
            return None
        if answer.status >= 400:
            known = instance if instance in self._settings.instances else None
            lacks = "verify_token" in provider.settings_of_its_own and own.verify_token is None
            why = {"means": "verify_token is not set"} if lacks else {}
            log.warning("webhook.handshake_refused", provider=provider.name, instance=known, **why)
        return plain_answer(answer)

    async def _take(
        self,
        request: web.Request,
        provider: Provider,
        path_instance: str | None,
        to: Recipients | None = None,
    ) -> web.Response:
        limit = self._limits[provider.has_inline_media]
        with await self._bodies.read(request, limit) as body:
            evidence = self._evidence(request, body)
            connection, payload = self._verified(request, provider, evidence, path_instance)
            recipients = to or Recipients(path_instance or connection, provider, self._settings)
            parsed = provider.parse(payload, self._options(evidence, recipients))
            traceparent = request.headers.get(HEADER)
            kept = await self._intake.take(parsed.messages, provider.messages_max, traceparent)
        ignored = await self._count_ignored(provider.name, connection, parsed)
        if provider.acknowledgement is not None:
            return plain_answer(provider.acknowledgement)
        return json_answer({"accepted": kept, "ignored": ignored})

    def _provider(self, request: web.Request) -> Provider:
        provider = self._providers.get(request.match_info["provider"])
        if provider is None:
            known = ", ".join(sorted(self._providers))
            raise RequestRefused(
                404, "unknown_provider", f"provider in the path is not known; known: {known}"
            )
        return provider

    def _evidence(self, request: web.Request, body: bytes) -> WebhookRequest:
        public_url, path = self._settings.public_url, request.raw_path
        return WebhookRequest(
            method=request.method,
            body=body,
            headers=request.headers,
            query=request.query if "?" in path else _NO_QUERY,
            url=None if public_url is None else public_url + path,
        )

    def _verified(
        self,
        request: web.Request,
        provider: Provider,
        evidence: WebhookRequest,
        path_instance: str | None,
    ) -> tuple[str, Any]:
        """The connection that the request has proven to come through, and what it says."""
        if path_instance is not None:
            connection = self._settings.instance(path_instance).connection or path_instance
            self._guard.check(request, provider, evidence, connection)
            return connection, provider.read(evidence)
        try:
            payload = provider.read(evidence)
        except RequestRefused:
            self._guard.check(request, provider, evidence, None)
            raise
        account = provider.account_of(payload)
        named = connection_of(account, provider, self._settings)
        self._guard.check(request, provider, evidence, named)
        if named is None:
            why = "neither the path nor the payload names an instance"
            raise RequestRefused(404, "unknown_instance", why)
        return named, payload

    def _options(self, evidence: WebhookRequest, recipients: Recipients) -> ParseOptions:
        return ParseOptions(
            request=evidence,
            recipient_of=recipients.of,
            received_at=self._now_ms(),
            max_age_ms=self._settings.max_age_ms,
            media_inline_bytes=self._settings.media_inline_bytes,
        )

    async def _count_ignored(
        self, provider: str, connection: str, parsed: Parsed
    ) -> Mapping[str, int]:
        """What was no message, by kind; echoes are among it, as what they were found to be."""
        ignored = parsed.ignored
        if parsed.echoes:
            ignored = {**ignored, **await self._judge(connection, parsed.echoes)}
        for kind, count in ignored.items():
            self._metrics.messages_ignored_total.labels(provider, kind).inc(count)
            log.debug("message.ignored", provider=provider, kind=kind, count=count)
        return ignored


def _instance_in_path(request: web.Request, provider: Provider) -> str | None:
    """
    The path's instance; a known event suffix is none, wherever it stands.

    Behind an instance any suffix is one: providers invent events, and the body names them, too.
    """
    instance = request.match_info.get("instance") or None
    event = request.match_info.get("event") or None
    if event is not None and not provider.event_suffixes:
        raise RequestRefused(404, "not_found", "there is nothing at this path")
    if instance is None or instance in provider.event_suffixes:
        return None
    if not is_instance_name(instance):
        raise RequestRefused(400, "invalid_field", "instance in the path is not a name")
    return instance
