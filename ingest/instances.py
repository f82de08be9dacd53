"""``/api/v1/instances``: each account with its settings, and steering it at run time."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.body import BodyReader
from shared.errors import RequestRefused
from shared.instance_facts import (
    facts_of,
    instance_face,
    is_known,
    look_at_instances,
    steered_face,
)
from shared.keys import Keys, is_instance_name
from shared.payload import parse_json
from shared.pipe import Pipe
from shared.settings import Settings
from shared.steering import NAMES, Value, change_problem, check_value
from shared.steering_store import SteeringStore

PATH = "/api/v1/instances"
SETTINGS_PATH = PATH + "/{instance:[^/]+}/settings"

BODY_MAX_BYTES = 4096

log: FilteringBoundLogger = structlog.get_logger()


class InstancesApi:
    """The endpoints. Access was checked before they are called; each may be called again."""

    def __init__(self, pipe: Pipe, keys: Keys, settings: Settings) -> None:
        self._pipe = pipe
        self._keys = keys
        self._settings = settings
        self._store = SteeringStore(pipe, keys)
        self._bodies = BodyReader()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; parts of the path are percent-decoded."""
        return [
            web.get(PATH, self.show_all),
            web.get(SETTINGS_PATH, self.show),
            web.put(SETTINGS_PATH, self.change),
            web.delete(SETTINGS_PATH, self.take_back),
        ]

    async def show_all(self, _request: web.Request) -> web.Response:
        """
        200 with all that the settings name, that were steered, or that have written.

        Raises:
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        found = await look_at_instances(self._pipe, self._keys, self._settings)
        faces = [instance_face(one) for one in found.instances]
        return json_answer({"at": found.now_ms, "instances": faces})

    async def show(self, request: web.Request) -> web.Response:
        """
        200 with what holds for one instance, also for one that nobody has heard of yet.

        Raises:
            RequestRefused: 400, no instance can have this name.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        return await self._settings_of(_instance_in(request))

    async def change(self, request: web.Request) -> web.Response:
        """
        200 once it stands in Redis and the workers were woken, which obey within 2 s. ``null``
        takes a value back, what is not named stays as it is.

        Raises:
            RequestRefused: 4xx, nothing has changed: 409 where what would then hold for the
                instance contradicts itself.
            BrokerUnavailable, BrokerRefused: answer 503; it may have changed, ask again.
        """
        instance = _instance_in(request)
        with await self._bodies.read(request, BODY_MAX_BYTES) as body:
            changes = _changes_in(parse_json(body))
        steering = await self._store.read()
        if problem := change_problem(self._settings, steering, instance, changes):
            raise RequestRefused(409, "conflict", problem)
        await self._store.change(instance, changes)
        log.info("instance.steered", instance=instance, **changes)
        return await self._settings_of(instance)

    async def take_back(self, request: web.Request) -> web.Response:
        """
        200 once nothing is set for the instance at run time any more; a pause is over, too.

        Raises:
            RequestRefused: 400, no instance can have this name.
            BrokerUnavailable, BrokerRefused: answer 503; it may have changed, ask again.
        """
        instance = _instance_in(request)
        await self._store.take_back(instance)
        log.info("instance.steered", instance=instance, **dict.fromkeys(NAMES))
        return await self._settings_of(instance)

    async def _settings_of(self, instance: str) -> web.Response:
        steering = await self._store.read()
        known = await is_known(self._pipe, self._keys, self._settings, instance)
        facts = facts_of(instance, self._settings, steering)
        return json_answer(steered_face(facts, is_known=known))


def _instance_in(request: web.Request) -> str:
    instance = request.match_info["instance"]
    if not is_instance_name(instance):
        raise RequestRefused(400, "invalid_field", "instance in the path is not a name")
    return instance


def _changes_in(payload: Any) -> dict[str, Value | None]:
    if not isinstance(payload, dict):
        raise RequestRefused(400, "invalid_field", "the body must be a JSON object")
    possible = ", ".join(NAMES)
    if unknown := sorted(payload.keys() - set(NAMES)):
        claim = f"{unknown[0][:64]} cannot be set at run time; possible are {possible}"
        raise RequestRefused(400, "unknown_field", claim)
    if not payload:
        raise RequestRefused(400, "missing_field", f"nothing is named; possible are {possible}")
    try:
        return {
            name: None if value is None else check_value(name, value)
            for name, value in payload.items()
        }
    except ValueError as error:
        raise RequestRefused(400, "invalid_field", str(error)) from error
