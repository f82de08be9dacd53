"""Where the playground is served, and to whom; what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from ingest.playground import Playground, is_playground_on
from shared.errors import StartRefused
from shared.instance_settings import InstanceSettings
from shared.settings import Settings
from shared.steering import Set, Steering
from tests.support.ingest_server import IngestServer, nothing_steered, serving

FROM_AFAR = {"X-Forwarded-For": "203.0.113.9"}
BEARER = {"Authorization": "Bearer s3cret"}
ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there
RULES = "/api/v1/playground"
ACCOUNT = {"playground": InstanceSettings(provider="telegram")}


def playground(settings: Settings, *, is_on: bool) -> AbstractAsyncContextManager[IngestServer]:
    """A server with or without it."""
    play = Playground(settings, nothing_steered, is_on=is_on)
    return serving(settings, routes=play.routes(), open_routes=play.open_routes())


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server with a playground and a token."""
    async with playground(Settings(api_token="s3cret"), is_on=True) as running:
        yield running


@pytest.mark.parametrize(
    "set_to, embeds_redis, host, instances, is_on",
    [
        (None, True, "127.0.0.1", {}, True),
        (None, False, "127.0.0.1", {}, False),
        (None, True, ANYWHERE, {}, False),
        (None, True, "127.0.0.1", ACCOUNT, False),
        (None, True, "127.0.0.1", {"playground": InstanceSettings(max_wait_ms=1)}, True),
        (True, False, ANYWHERE, {}, True),
        (False, True, "127.0.0.1", {}, False),
        (False, True, "127.0.0.1", ACCOUNT, False),
    ],
)
def test_it_is_there_for_who_tries_inturn_and_for_who_asks_for_it(
    set_to: bool | None,
    embeds_redis: bool,
    host: str,
    instances: dict[str, InstanceSettings],
    is_on: bool,
) -> None:
    """By itself on this machine alone, with a Redis that holds nobody else's messages."""
    settings = Settings(playground=set_to, host=host, instances=instances)
    assert is_playground_on(settings, embeds_redis=embeds_redis) is is_on


def test_it_is_not_switched_on_over_an_account() -> None:
    """What one types there must not leave through a provider."""
    with pytest.raises(StartRefused, match=r"\[instances.playground\] has a provider"):
        is_playground_on(Settings(playground=True, instances=ACCOUNT), embeds_redis=True)


@pytest.mark.parametrize("path", ["/playground", RULES])
async def test_where_it_is_off_there_is_nothing(path: str) -> None:
    """404 also for who has the token, and what would switch it on."""
    async with playground(Settings(api_token="s3cret"), is_on=False) as server:
        answer = await server.request("GET", path, headers=BEARER)

    assert (answer.status, answer.error) == (404, "not_found: INTURN_PLAYGROUND is off here")


async def test_its_page_is_for_everybody_and_what_it_tells_needs_the_token(
    server: IngestServer,
) -> None:
    """A token is set: without it one sees a page that asks for it."""
    page = await server.request("GET", "/playground", headers=FROM_AFAR)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (await server.request("GET", RULES, headers=FROM_AFAR)).status == 401
    assert (await server.request("GET", RULES)).status == 401
    assert (await server.request("GET", RULES, headers=BEARER)).status == 200
    assert (await server.request("POST", "/playground")).status == 405


@pytest.mark.parametrize("path", ["/playground", RULES])
async def test_without_a_token_it_is_for_this_machine_alone(path: str) -> None:
    """Nobody comes in through a tunnel, or with a name that leads here from elsewhere."""
    async with playground(Settings(), is_on=True) as server:
        assert (await server.request("GET", path)).status == 200
        assert (await server.request("GET", path, headers=FROM_AFAR)).status == 401
        foreign = {"Host": "inturn.example.org"}
        assert (await server.request("GET", path, headers=foreign)).status == 401


async def test_it_tells_what_shapes_its_windows_and_no_secret() -> None:
    """The instance's own settings go first; of a handler only the kind is told."""
    secret = "https://bot.example.org/answer?key=hidden"
    instances = {"playground": InstanceSettings(max_messages=3, handler=secret)}
    settings = Settings(max_wait_ms=5000, instances=instances)
    async with playground(settings, is_on=True) as server:
        answer = await server.request("GET", RULES)

    assert answer.json == {
        "instance": "playground",
        "max_wait_ms": 5000,
        "max_messages": 3,
        "quiet_ms": 0,
        "pass_through": False,
        "paused": False,
        "handler": "http",
    }


async def test_it_tells_what_is_set_at_run_time() -> None:
    """The page says what holds now, and that it is paused."""
    changed = {"mode": Set("pass_through", 1), "max_wait_ms": Set(900, 1), "paused": Set(True, 1)}

    async def read() -> Steering:
        return Steering(by_instance={"playground": changed})

    play = Playground(Settings(), read, is_on=True)
    async with serving(Settings(), routes=play.routes()) as server:
        told = (await server.request("GET", RULES)).json
    assert (told["pass_through"], told["max_wait_ms"], told["paused"]) == (True, 900, True)
