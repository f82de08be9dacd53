"""``/api/v1/instances`` over a real connection and a real Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema_rs
import pytest
from redis.asyncio import Redis

from ingest.instances import InstancesApi
from ingest.openapi_instances import INSTANCES, STEERED
from shared.keys import Keys
from shared.pipe import Pipe
from shared.settings import Settings
from shared.steering import NAMES
from shared.steering_store import SteeringStore
from tests.support.ingest_server import IngestServer, serving
from tests.support.partition_scripts import SHOP, Scripts
from tests.support.pipes import running_pipe
from tests.support.redis_users import as_user

PATH = f"/api/v1/instances/{SHOP}/settings"


@asynccontextmanager
async def api(redis_url: str, keys: Keys, settings: Settings) -> AsyncIterator[IngestServer]:
    """The endpoints, as the user that ingest has."""
    async with (
        running_pipe(as_user(redis_url, "ingest")) as pipe,
        serving(settings, routes=InstancesApi(pipe, keys, settings).routes()) as running,
    ):
        yield running


@pytest.fixture
async def server(redis_url: str, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server without token, with one instance in its file."""
    async with api(redis_url, keys, Settings(instances={SHOP: {"max_messages": 3}})) as running:
        yield running


async def put(server: IngestServer, **changes: Any) -> Any:
    """What a change that is taken is answered with, which is as the document says."""
    answer = await server.request("PUT", PATH, json=changes)
    assert answer.status == 200, answer.json
    jsonschema_rs.validator_for(STEERED).validate(answer.json)
    return answer.json


def values(told: Any) -> dict[str, Any]:
    """The values in force, by name."""
    return {name: one["value"] for name, one in told["settings"].items()}


async def last_ring(client: Redis, keys: Keys) -> Any:
    """The id of the last ring of the deployment's bell."""
    rows = await client.xrevrange(keys.bell, count=1)
    return rows[0][0] if rows else b""


async def test_a_setting_is_told_with_where_it_comes_from(server: IngestServer) -> None:
    """Before and after it is set, and what would hold without that."""
    told = (await server.request("GET", PATH)).json
    assert (told["instance"], told["known"], told["changed_at"]) == (SHOP, True, None)
    assert told["settings"]["max_messages"] == {
        "value": 3, "from": "instance", "since": None, "configured": 3,
    }  # fmt: skip

    told = await put(server, max_messages=1)
    one = told["settings"]["max_messages"]
    assert (one["value"], one["from"], one["configured"]) == (1, "run_time", 3)
    assert one["since"] == told["changed_at"] > 0
    assert (await server.request("GET", PATH)).json == told


async def test_what_is_not_named_stays(server: IngestServer) -> None:
    """Two who change different things do not undo each other's work; null takes one back."""
    first = await put(server, paused=True, max_wait_ms=500)
    since = first["paused_since"]
    assert (first["paused"], since > 0) == (True, True)
    told = await put(server, mode="pass_through", paused=True)
    assert values(told)["max_wait_ms"] == 500
    assert told["paused_since"] == since
    told = await put(server, paused=None, max_wait_ms=None)
    assert (told["paused"], told["paused_since"]) == (False, None)
    assert (values(told)["mode"], values(told)["max_wait_ms"]) == ("pass_through", 8000)


async def test_all_is_taken_back(server: IngestServer, redis_client: Redis, keys: Keys) -> None:
    """A pause, too; what remains is when that was."""
    await put(server, paused=True, quiet_ms=10, mode="pass_through", max_wait_ms=70, grace_ms=1)
    told = (await server.request("DELETE", PATH)).json
    assert {one["from"] for one in told["settings"].values()} == {"default", "instance"}
    assert told["changed_at"] > 0
    assert await redis_client.hlen(keys.settings) == 2
    assert (await server.request("DELETE", PATH)).status == 200


async def test_every_change_wakes_the_workers(
    server: IngestServer, redis_client: Redis, keys: Keys
) -> None:
    """Also one that changes nothing: the call before it may have died before it rang."""
    await put(server, paused=True)
    first = await last_ring(redis_client, keys)
    assert first
    revision = await redis_client.hget(keys.settings, "revision")
    await put(server, paused=True)
    assert await last_ring(redis_client, keys) > first
    assert await redis_client.hget(keys.settings, "revision") == revision


@pytest.mark.parametrize(
    "body, code, names",
    [
        (b"", "invalid_json", ""),
        ([], "invalid_field", "object"),
        ({}, "missing_field", "max_wait_ms"),
        ({"max_wait": 5}, "unknown_field", "max_wait cannot be set at run time; possible are mode"),
        ({"bypass": ["stop"], "paused": True}, "unknown_field", "bypass"),
        ({"max_messages": 0}, "invalid_field", "max_messages must be a whole number from 1"),
        ({"paused": "yes"}, "invalid_field", "paused must be true or false"),
        ({"mode": "off", "paused": True}, "invalid_field", "mode must be window or pass_through"),
        ({"quiet_ms": 9000}, "conflict", "must not exceed max_wait_ms, which is 8000"),
    ],
)
async def test_what_cannot_be_set_is_refused(
    server: IngestServer, redis_client: Redis, keys: Keys, body: Any, code: str, names: str
) -> None:
    """The error names the field and what is possible, and nothing has changed."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await server.request("PUT", PATH, data=data)
    status = 409 if code == "conflict" else 400
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert names in answer.json["error"]["message"]
    assert not await redis_client.exists(keys.settings, keys.bell)


async def test_who_has_no_name_is_refused(server: IngestServer) -> None:
    """No instance can be called so."""
    for method in ("GET", "PUT", "DELETE"):
        answer = await server.request(
            method, "/api/v1/instances/a%00b/settings", json={"paused": True}
        )
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_field")


async def test_steering_needs_the_token(redis_url: str, keys: Keys, redis_client: Redis) -> None:
    """Who has none stops nobody's windows, and sees no accounts."""
    async with api(redis_url, keys, Settings(api_token="s3cret")) as server:
        for method in ("GET", "PUT", "DELETE"):
            assert (await server.request(method, PATH, json={"paused": True})).status == 401
        assert (await server.request("GET", "/api/v1/instances")).status == 401
    assert not await redis_client.exists(keys.settings)


async def test_all_accounts_are_told(
    server: IngestServer, scripts: Scripts, pipe: Pipe, keys: Keys
) -> None:
    """Those of the file, those that wrote and those that were steered; largest backlog first."""
    await scripts.append("A", instance="wrote")
    await SteeringStore(pipe, keys).change("steered", {"paused": True, "mode": "pass_through"})
    answer = await server.request("GET", "/api/v1/instances")
    assert answer.status == 200
    jsonschema_rs.validator_for(INSTANCES).validate(answer.json)
    told = {one["instance"]: one for one in answer.json["instances"]}
    assert list(told) == ["wrote", SHOP, "steered"]
    assert (told["wrote"]["messages"], told["wrote"]["paused"]) == (1, False)
    steered = told["steered"]
    assert (steered["paused"], steered["mode"]) == (True, "pass_through")
    assert steered["paused_since"] == steered["changed_at"] <= answer.json["at"]
    assert (told[SHOP]["max_messages"], told[SHOP]["settings"].keys()) == (3, set(NAMES))


async def test_a_name_that_nobody_has_is_told(server: IngestServer, scripts: Scripts) -> None:
    """Who mistypes an account's name sees that nobody is called so."""
    path = "/api/v1/instances/{}/settings"
    await scripts.append("A", instance="wrote")
    assert (await server.request("GET", path.format("shpo"))).json["known"] is False
    assert (await server.request("GET", path.format("wrote"))).json["known"] is True


async def test_a_change_is_told_in_the_log(server: IngestServer) -> None:
    """Whose, and what to."""
    await put(server, paused=True, max_messages=2)
    (line,) = [line for line in server.logs if line["event"] == "instance.steered"]
    assert (line["instance"], line["paused"], line["max_messages"]) == (SHOP, True, 2)


async def test_a_foreign_key_holds_no_settings(
    server: IngestServer, redis_client: Redis, keys: Keys
) -> None:
    """What somebody else wrote there, with another type, hides no account."""
    await redis_client.set(keys.settings, "nonsense")
    assert (await server.request("GET", PATH)).json["settings"]["mode"]["from"] == "default"
    assert (await server.request("PUT", PATH, json={"paused": True})).status == 503
