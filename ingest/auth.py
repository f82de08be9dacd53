"""
Who may speak to ingest: the API by a token or the cookie that stands for it, webhooks by what
their provider signs or sends.

Without a token, or for an instance without a secret, only requests from this machine are served:
from a loopback address, to a loopback ``Host``, without a trace of a proxy (a tunnel makes
everything look local) and not out of a foreign web page. Every refusal is the same 401 without
detail: who guesses learns nothing. Only where no token is set, others than this machine are told
what is missing, whatever they asked for: whoever has just opened a tunnel looks at that answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import cast
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import CIMultiDictProxy
from structlog.typing import FilteringBoundLogger

from ingest.cookie import SessionCookie
from shared.errors import RequestRefused, StartRefused
from shared.providers import Provider, WebhookRequest
from shared.settings import Settings

TOKEN_IS_MISSING = (
    "only requests from this machine, and through no proxy or tunnel, are served while "
    "INTURN_API_TOKEN is not set; webhooks are proven by their instance's secret"
)

OPEN_SECRET = "none"
"""Written as ``secret``: anybody may send this instance's webhooks. Warned of at start."""

log: FilteringBoundLogger = structlog.get_logger()

_remembered = lru_cache(maxsize=256)
"""Requests repeat a handful of header names and hosts; a stranger's others take 2 MiB at most."""

_FORWARDING_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "x-original-host"})
_FORWARDING_PREFIXES = ("x-forwarded-", "cf-")
_EVIDENCE_PARTS = ("authorization", "signature", "secret", "token", "apikey", "api-key", "hmac")


def refuse_exposed(settings: Settings) -> None:
    """
    Raises:
        StartRefused: ingest would listen beyond loopback without ``API_TOKEN``.
    """
    if not is_loopback_name(settings.host) and api_token_of(settings) is None:
        problem = f"INTURN_HOST: {settings.host} is reachable from outside: set INTURN_API_TOKEN"
        raise StartRefused([problem])


def refuse_unverifiable(settings: Settings, providers: Mapping[str, Provider]) -> None:
    """
    Raises:
        StartRefused: what a provider signs holds the URL that it calls, and nobody has said it.
    """
    if settings.public_url is not None:
        return
    problems = [
        f"INTURN_PUBLIC_URL: is missing: {own.provider} signs the URL that it calls, so that no "
        f"webhook of [instances.{name}] could be verified; set it to https://<host>, as the "
        "provider reaches this service"
        for name, own in settings.instances.items()
        if (provider := providers.get(own.provider or "")) is not None
        and provider.signs_url
        and not {OPEN_SECRET}.issuperset(secrets_of(settings, name))
    ]
    if problems:
        raise StartRefused(problems)


def warn_of_open_webhooks(settings: Settings, log: FilteringBoundLogger) -> None:
    """One warning per instance whose webhooks anybody may send, as its settings say."""
    for name in settings.instances:
        if OPEN_SECRET in secrets_of(settings, name):
            log.warning("webhook.open", instance=name, means="anybody may send its webhooks")


def api_token_of(settings: Settings) -> str | None:
    """``API_TOKEN``, None where it is unset or empty."""
    token = settings.api_token
    return (token.get_secret_value() or None) if token else None


def secrets_of(settings: Settings, instance: str) -> tuple[str, ...]:
    """The secrets of an instance's webhooks, several while they rotate; empty ones are none."""
    values = (secret.get_secret_value() for secret in settings.instance(instance).secret)
    return tuple(value for value in values if value)


class ApiGuard:
    """
    Lets through who has the token, or the ``cookie`` that stands for it; without a configured
    token, who is on this machine.
    """

    def __init__(self, token: str | None, cookie: SessionCookie | None = None) -> None:
        self._token = None if token is None else token.encode()
        self._cookie = cookie

    def check(self, request: web.Request) -> None:
        """
        Let the request through.

        Raises:
            RequestRefused: 401.
        """
        if self._token is None:
            allowed = is_local(request)
        else:
            allowed = hmac.compare_digest(_bearer_of(request.headers), self._token)
            if not allowed and self._cookie is not None:
                allowed = self._cookie.vouches_for(request)
        if not allowed:
            raise refusal_of(request, has_token=self._token is not None)

    def guarding(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes for those whom it lets through."""
        return [self._before(route) for route in routes]

    def guarding_lightly(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes for everybody; without a configured token for this machine alone."""
        return list(routes) if self._token is not None else self.guarding(routes)

    def _before(self, route: web.RouteDef) -> web.RouteDef:
        handler = cast(Handler, route.handler)

        async def check_and_handle(request: web.Request) -> web.StreamResponse:
            self.check(request)
            return await handler(request)

        return web.RouteDef(route.method, route.path, check_and_handle, route.kwargs)


class Fault(StrEnum):
    """Why a webhook was refused: for the log alone, who sent it learns nothing."""

    UNKNOWN = "the settings have no such instance: only this machine's requests are taken"
    NO_SECRET = "no secret is set: only this machine's requests are taken, and through no proxy"
    ANOTHER_PROVIDER = "the instance has another provider"
    DOUBLED = "a header that may carry its proof came twice"
    UNPROVEN = "none of the instance's secrets vouches for it"


class WebhookGuard:
    """Lets webhooks through that their instance's secrets vouch for."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = {name: secrets_of(settings, name) for name in settings.instances}
        self._providers = {name: own.provider for name, own in settings.instances.items()}
        self._has_token = api_token_of(settings) is not None

    def check(
        self,
        request: web.Request,
        provider: Provider,
        evidence: WebhookRequest,
        instance: str | None,
    ) -> None:
        """
        Let the request through as one of ``instance``; None: nobody knows whose it is.

        A refusal is logged with provider, instance and why, and nothing of the request.

        Raises:
            RequestRefused: 401, for whatever reason.
        """
        fault = self._fault_in(request, provider, evidence, instance or "")
        if fault is not None:
            known = instance if instance in self._secrets else None
            log.info(
                "webhook.unauthorized", provider=provider.name, instance=known, means=str(fault)
            )
            raise refusal_of(request, has_token=self._has_token)

    def _fault_in(
        self, request: web.Request, provider: Provider, evidence: WebhookRequest, instance: str
    ) -> Fault | None:
        secrets = self._secrets.get(instance)
        if self._providers.get(instance) not in (None, provider.name):
            return Fault.ANOTHER_PROVIDER  # its secrets are to be proven in its own provider's way
        if not secrets:
            unset = Fault.UNKNOWN if secrets is None else Fault.NO_SECRET
            return None if is_local(request) else unset
        if OPEN_SECRET in secrets:
            return None
        if has_doubled_evidence(request.headers):
            return Fault.DOUBLED
        return None if provider.verify(evidence, secrets) else Fault.UNPROVEN


def has_doubled_evidence(headers: CIMultiDictProxy[str]) -> bool:
    """
    Whether a header that may carry a signature or token came twice.

    A proxy and we could look at different ones; an honest sender sends one.
    """
    # Only `items` shows a name as often as it came; iterating does not.
    evidence = [name for name, _ in headers.items() if _may_carry_evidence(name)]
    return len(evidence) > 1 and len(evidence) != len({name.lower() for name in evidence})


@_remembered
def _may_carry_evidence(header: str) -> bool:
    name = header.lower()
    return any(part in name for part in _EVIDENCE_PARTS)


def is_local(request: web.Request) -> bool:
    """Whether the request comes from this machine, and not through a proxy or a foreign page."""
    hosts = request.headers.getall(hdrs.HOST, ())
    return (
        _is_loopback_peer(request.remote)
        and len(hosts) == 1
        and is_loopback_name(_without_port(hosts[0]))
        and not _is_forwarded(request.headers)
        and _has_local_origin(request.headers)
    )


@_remembered
def is_loopback_name(host: str) -> bool:
    """``localhost`` or a loopback address; no other name, for DNS may say anything."""
    return host.lower() == "localhost" or _is_loopback_address(host)


@_remembered
def _is_loopback_address(text: str) -> bool:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _is_loopback_peer(remote: str | None) -> bool:
    # A Unix socket has no peer address, and only this machine reaches it.
    return not remote or _is_loopback_address(remote.partition("%")[0])


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _is_forwarded(headers: Mapping[str, str]) -> bool:
    return any(map(_is_written_by_a_proxy, headers))


@_remembered
def _is_written_by_a_proxy(header: str) -> bool:
    name = header.lower()
    return name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIXES)


def _has_local_origin(headers: CIMultiDictProxy[str]) -> bool:
    """Browsers send ``Origin`` with every POST: a foreign page cannot speak for its reader."""
    try:
        origins = [urlsplit(origin).hostname or "" for origin in headers.getall(hdrs.ORIGIN, ())]
    except ValueError:
        return False
    return all(map(is_loopback_name, origins))


def _bearer_of(headers: CIMultiDictProxy[str]) -> bytes:
    """The bearer token, empty if there is none or more than one header."""
    given = headers.getall(hdrs.AUTHORIZATION, ())
    if len(given) != 1:
        return b""
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer":
        return b""
    return token.strip().encode("utf-8", "surrogateescape")


def unauthorized() -> RequestRefused:
    """The one refusal: it tells nothing of why."""
    return RequestRefused(401, "unauthorized", "unauthorized")


def refusal_of(request: web.Request, *, has_token: bool) -> RequestRefused:
    """The same for every request of a service; without a token it names what others lack."""
    if has_token or is_local(request):
        return unauthorized()
    return RequestRefused(401, "unauthorized", TOKEN_IS_MISSING)
