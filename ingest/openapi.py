"""
``/openapi.json``: every path of this service, for programs and for people, without token.

Webhooks have their provider's form: what it says of them is what is not refused, for a webhook
that nobody has seen before is kept or ignored rather than lost. How each proves who sent it is
told in docs/providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ingest.answers import json_answer
from ingest.openapi_console import console_paths
from ingest.openapi_decisions import DECISION_SCHEMAS, TEXTS, decision_paths
from ingest.openapi_events import event_paths
from ingest.openapi_forget import forget_paths
from ingest.openapi_instances import instance_paths
from ingest.openapi_pages import page_paths
from ingest.openapi_parts import (
    JSON,
    OF_BODIES,
    answered,
    body_of,
    in_path,
    operation,
    plain,
    refused,
)
from ingest.openapi_report import report_paths
from ingest.openapi_schemas import INSTANCE, MESSAGE_ID, SCHEMAS, USER, Schema, reference
from ingest.openapi_tickets import TICKET_SCHEMAS, ticket_paths
from shared.metrics import CONTENT_TYPE
from shared.providers import Provider

PATH = "/openapi.json"

_FORM = "application/x-www-form-urlencoded"
_TOKEN = "token"


class OpenApi:
    """The document; ``has_token``: the API needs one here."""

    def __init__(self, providers: Mapping[str, Provider], *, has_token: bool) -> None:
        self._document = openapi_document(providers, has_token=has_token)

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.get(PATH, self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """The same for everybody, from the start to the end of the process."""
        return json_answer(self._document)


def openapi_document(providers: Mapping[str, Provider], *, has_token: bool) -> dict[str, Any]:
    """The whole document (OpenAPI 3.1)."""
    guard: dict[str, Any] = {"security": [{_TOKEN: []}]} if has_token else {}
    paths = {**_own_paths(), **_api_paths(guard), **ticket_paths(guard), **page_paths(guard)}
    paths |= {**event_paths(), **report_paths(guard), **console_paths(guard)}
    paths |= instance_paths(guard)
    paths |= decision_paths(guard)
    paths |= forget_paths(guard)
    for provider in providers.values():
        paths |= _webhook_paths(provider)
    components: dict[str, Any] = {"schemas": {**SCHEMAS, **TICKET_SCHEMAS, **DECISION_SCHEMAS}}
    if has_token:
        components["securitySchemes"] = {_TOKEN: {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "inturn: ingest",
            "version": "1",
            "description": "Takes messages, answers 2xx when they are kept, and tells what became"
            " of them.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": components,
    }


def _own_paths() -> dict[str, Any]:
    ready = answered("messages are kept", reference("Health"))
    unready = answered("no message can be kept; nobody should send here", reference("Unready"))
    metrics = {"description": "Prometheus's text format", "content": {plain(CONTENT_TYPE): {}}}
    elsewhere = answered("one of several processes: ask on METRICS_PORT", reference("Error"))
    document = answered("this document", {"type": "object"})
    return {
        "/healthz": {"get": operation("Is the process alive", {200: answered("yes", _OK)})},
        "/readyz": {"get": operation("Are messages kept", {200: ready, 503: unready})},
        "/metrics": {"get": operation("Metrics", {200: metrics, 404: elsewhere})},
        PATH: {"get": operation("This document", {200: document})},
        "/session": _session_item(),
    }


def _session_item() -> dict[str, Any]:
    """What sets the cookie that browsers show in place of the token."""
    told: dict[int | str, Schema] = {
        200: answered("whether this browser may use the API", reference("Session"))
    }
    content = {kind: {"schema": reference("LogIn")} for kind in (JSON, _FORM)}
    return {
        "post": operation(
            "Show the token once, and get a cookie for it",
            {**told, **refused(*OF_BODIES, 401)},
            requestBody={"required": True, "content": content},
        ),
        "get": operation("Is there a cookie, or is none needed", told),
        "delete": operation("Forget the cookie", told),
    }


def _api_paths(guard: Mapping[str, Any]) -> dict[str, Any]:
    conversation = "/api/v1/conversations/{instance}/{user}"
    whose = [in_path("instance", INSTANCE), in_path("user", _IN_PATH | USER)]
    message_id = in_path("message_id", _IN_PATH | MESSAGE_ID)
    known = refused(400, 401, 404, 503)
    return {
        "/api/v1/messages": {
            "post": operation(
                "Hand in messages",
                {
                    202: answered("all of them are kept", reference("Accepted")),
                    **refused(*OF_BODIES, 401),
                },
                requestBody=body_of(JSON, reference("Messages")),
                **guard,
            )
        },
        conversation: {
            "get": operation(
                "Where a user's messages and replies are",
                {200: answered("newest last", reference("Conversation")), **known},
                parameters=[*whose, TEXTS],
                **guard,
            )
        },
        f"{conversation}/messages/{{message_id}}": {
            "get": operation(
                "Where a message is",
                {200: answered("its state", reference("Whereabouts")), **known},
                parameters=[*whose, message_id],
                **guard,
            )
        },
        **_mute_paths(conversation, whose, guard),
    }


def _mute_paths(conversation: str, whose: list[Schema], guard: Mapping[str, Any]) -> dict[str, Any]:
    mutable = refused(400, 401, 503)
    over = {200: answered("it is over, or there was none", reference("Muted")), **mutable}
    unmute = operation("Answer again in a conversation", over, parameters=whose, **guard)
    return {
        f"{conversation}/mute": {
            "post": operation(
                "Answer nothing in a conversation for a time",
                {
                    200: answered("until when", reference("Muted")),
                    **mutable,
                    **refused(*OF_BODIES),
                },
                requestBody=body_of(JSON, reference("Mute")),
                parameters=whose,
                **guard,
            ),
            "delete": unmute,
        },
        f"{conversation}/unmute": {"post": unmute},
    }


def _webhook_paths(provider: Provider) -> dict[str, Any]:
    """With the instance in the path; for some also by what stands in the payload, or by event."""
    base, instance = f"/webhooks/{provider.name}", in_path("instance", INSTANCE)
    paths = {f"{base}/{{instance}}": _webhook_item(provider, [instance])}
    if provider.account_settings:
        paths[base] = _webhook_item(provider, [])
    if provider.event_suffixes:
        event = in_path("event", {"type": "string", "minLength": 1})
        paths[f"{base}/{{instance}}/{{event}}"] = _webhook_item(provider, [instance, event])
    return paths


def _webhook_item(provider: Provider, parameters: list[Schema]) -> dict[str, Any]:
    answers = {200: _taken_by(provider), **refused(*OF_BODIES, 401, 404)}
    body = body_of(provider.media_type, dict(provider.form))
    found = {
        "post": operation(
            f"A webhook of {provider.name}", answers, requestBody=body, parameters=parameters
        )
    }
    for method in sorted(provider.greets):
        found[method.lower()] = operation(
            f"The handshake of {provider.name}",
            {"2XX": _GREETING, **refused(400, 401, 404, 405), 403: _FORBIDDEN},
            parameters=[*parameters, *provider.greeting_parameters],
        )
    if provider.takes_get:
        query = {
            "name": "fields",
            "in": "query",
            "required": True,
            "style": "form",
            "explode": True,
            "schema": dict(provider.form),
        }
        found["get"] = operation(
            f"A message of {provider.name}, all in the query",
            answers,
            parameters=[*parameters, query],
        )
    return found


def _taken_by(provider: Provider) -> Schema:
    kept = "every message in it is kept; there may be none"
    if provider.acknowledgement is None:
        return answered(kept, reference("Taken"))
    content_type = plain(provider.acknowledgement.content_type)
    return {"description": kept, "content": {content_type: {}}}


_OK: Schema = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
_IN_PATH: Schema = {"minLength": 1}
_GREETING: Schema = {"description": "what the provider expects"}
_FORBIDDEN: Schema = {"description": "not with this token"}
