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
from ingest.openapi_pages import page_paths
from ingest.openapi_schemas import INSTANCE, MESSAGE_ID, SCHEMAS, USER, Schema, reference
from shared.metrics import CONTENT_TYPE
from shared.providers import Provider

PATH = "/openapi.json"

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_TOKEN = "token"

_REFUSALS: Mapping[int, str] = {
    400: "not of the form that is told here; `error.message` names the field",
    401: "not proven who sends; always the same answer",
    404: "nothing is known of this, or there is no such path",
    405: "not with this method, or without what a handshake carries",
    408: "the body came too slowly",
    413: "too large a body, or too many messages in it",
    415: "the body is compressed, or of a kind that is not read here",
    429: "too many large bodies at once",
    503: "nothing is kept now (Redis, spool, backlog): send again",
}
_MAY_TRY_AGAIN = frozenset({429, 503})
_OF_BODIES = (400, 408, 413, 415, 429, 503)


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
    paths = {**_own_paths(), **_api_paths(has_token=has_token), **page_paths()}
    for provider in providers.values():
        paths |= _webhook_paths(provider)
    components: dict[str, Any] = {"schemas": dict(SCHEMAS)}
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
    ready = _answer("messages are kept", reference("Health"))
    unready = _answer("no message can be kept; nobody should send here", reference("Unready"))
    metrics = {"description": "Prometheus's text format", "content": {_plain(CONTENT_TYPE): {}}}
    document = _answer("this document", {"type": "object"})
    return {
        "/healthz": {"get": _operation("Is the process alive", {200: _answer("yes", _OK)})},
        "/readyz": {"get": _operation("Are messages kept", {200: ready, 503: unready})},
        "/metrics": {"get": _operation("Metrics", {200: metrics})},
        PATH: {"get": _operation("This document", {200: document})},
        "/session": _session_item(),
    }


def _session_item() -> dict[str, Any]:
    """What sets the cookie that browsers show in place of the token."""
    told: dict[int | str, Schema] = {
        200: _answer("whether this browser may use the API", reference("Session"))
    }
    content = {kind: {"schema": reference("LogIn")} for kind in (_JSON, _FORM)}
    return {
        "post": _operation(
            "Show the token once, and get a cookie for it",
            {**told, **_refused(*_OF_BODIES, 401)},
            requestBody={"required": True, "content": content},
        ),
        "get": _operation("Is there a cookie, or is none needed", told),
        "delete": _operation("Forget the cookie", told),
    }


def _api_paths(*, has_token: bool) -> dict[str, Any]:
    conversation = "/api/v1/conversations/{instance}/{user}"
    whose = [_in_path("instance", INSTANCE), _in_path("user", _IN_PATH | USER)]
    message_id = _in_path("message_id", _IN_PATH | MESSAGE_ID)
    guard: dict[str, Any] = {"security": [{_TOKEN: []}]} if has_token else {}
    known, mutable = _refused(400, 401, 404, 503), _refused(400, 401, 503)
    over = {200: _answer("it is over, or there was none", reference("Muted")), **mutable}
    unmute = _operation("Answer again in a conversation", over, parameters=whose, **guard)
    return {
        "/api/v1/messages": {
            "post": _operation(
                "Hand in messages",
                {
                    202: _answer("all of them are kept", reference("Accepted")),
                    **_refused(*_OF_BODIES, 401),
                },
                requestBody=_body(_JSON, reference("Messages")),
                **guard,
            )
        },
        conversation: {
            "get": _operation(
                "Where a user's messages and replies are",
                {200: _answer("newest last", reference("Conversation")), **known},
                parameters=whose,
                **guard,
            )
        },
        f"{conversation}/messages/{{message_id}}": {
            "get": _operation(
                "Where a message is",
                {200: _answer("its state", reference("Whereabouts")), **known},
                parameters=[*whose, message_id],
                **guard,
            )
        },
        f"{conversation}/mute": {
            "post": _operation(
                "Answer nothing in a conversation for a time",
                {
                    200: _answer("until when", reference("Muted")),
                    **mutable,
                    **_refused(*_OF_BODIES),
                },
                requestBody=_body(_JSON, reference("Mute")),
                parameters=whose,
                **guard,
            ),
            "delete": unmute,
        },
        f"{conversation}/unmute": {"post": unmute},
    }


def _webhook_paths(provider: Provider) -> dict[str, Any]:
    """With the instance in the path; for some also by what stands in the payload, or by event."""
    base, instance = f"/webhooks/{provider.name}", _in_path("instance", INSTANCE)
    paths = {f"{base}/{{instance}}": _webhook_item(provider, [instance])}
    if provider.account_settings:
        paths[base] = _webhook_item(provider, [])
    if provider.event_suffixes:
        event = _in_path("event", {"type": "string", "minLength": 1})
        paths[f"{base}/{{instance}}/{{event}}"] = _webhook_item(provider, [instance, event])
    return paths


def _webhook_item(provider: Provider, parameters: list[Schema]) -> dict[str, Any]:
    answers = {200: _taken_by(provider), **_refused(*_OF_BODIES, 401, 404)}
    body = _body(provider.media_type, dict(provider.form))
    found = {
        "post": _operation(
            f"A webhook of {provider.name}", answers, requestBody=body, parameters=parameters
        )
    }
    for method in sorted(provider.greets):
        found[method.lower()] = _operation(
            f"The handshake of {provider.name}",
            {"2XX": _GREETING, **_refused(400, 401, 404, 405), 403: _FORBIDDEN},
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
        found["get"] = _operation(
            f"A message of {provider.name}, all in the query",
            answers,
            parameters=[*parameters, query],
        )
    return found


def _taken_by(provider: Provider) -> Schema:
    kept = "every message in it is kept; there may be none"
    if provider.acknowledgement is None:
        return _answer(kept, reference("Taken"))
    content_type = _plain(provider.acknowledgement.content_type)
    return {"description": kept, "content": {content_type: {}}}


def _operation(summary: str, answers: Mapping[int | str, Schema], **more: Any) -> dict[str, Any]:
    parts = {name: part for name, part in more.items() if part}
    return {
        "summary": summary,
        **parts,
        "responses": {str(status): answer for status, answer in answers.items()},
    }


def _answer(meaning: str, schema: Schema) -> Schema:
    return {"description": meaning, "content": {_JSON: {"schema": schema}}}


def _refused(*statuses: int) -> dict[int | str, Schema]:
    return {status: _refusal(status) for status in statuses}


def _refusal(status: int) -> Schema:
    answer = _answer(_REFUSALS[status], reference("Error"))
    if status in _MAY_TRY_AGAIN:
        seconds = {"type": "integer", "minimum": 0}
        answer["headers"] = {"Retry-After": {"schema": seconds, "description": "in seconds"}}
    return answer


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(media_type: str, schema: Schema) -> Schema:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0]


_OK: Schema = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
_IN_PATH: Schema = {"minLength": 1}
_GREETING: Schema = {"description": "what the provider expects"}
_FORBIDDEN: Schema = {"description": "not with this token"}
