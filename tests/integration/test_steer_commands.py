"""``inturn instances show``, ``set``, ``unset``, ``pause`` and ``resume`` on real data."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from ops.cli import inturn
from shared.connect import Pipe
from shared.keys import Keys
from shared.steering import Steering
from shared.steering_store import SteeringStore
from tests.support.partition_scripts import SHOP, Scripts


@pytest.fixture(autouse=True)
async def shell(
    shell: pytest.MonkeyPatch, keys: Keys, redis_client: Redis, tmp_path: Any
) -> pytest.MonkeyPatch:
    """Its settings lead to data that some service has created."""
    config = tmp_path / "inturn.toml"
    config.write_text("[instances.main]\nmax_messages = 3\n[instances.branch]\nquiet_ms = 7\n")
    shell.setenv("INTURN_CONFIG", str(config))
    await redis_client.hset(keys.meta, "partitions", str(keys.partitions))
    return shell


async def invoke(*arguments: str) -> Result:
    """One command of ``inturn instances``."""
    return await asyncio.to_thread(CliRunner().invoke, inturn, ("instances", *arguments))


async def run(*arguments: str) -> str:
    """What it prints."""
    result = await invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def told(*arguments: str) -> Any:
    """The same as data."""
    return json.loads(await run(*arguments, "--json"))


async def stands(pipe: Pipe, keys: Keys) -> Steering:
    """What is set in Redis."""
    return await SteeringStore(pipe, keys).read()


async def test_values_are_set_and_taken_back(pipe: Pipe, keys: Keys) -> None:
    """Each by its name; the table says where values come from, and what holds without them."""
    text = await run("set", "main", "max_messages=1", "MODE=pass_through")
    assert "in force on all workers within 2 s" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert (rows["max_messages"][:3], rows["max_messages"][-1]) == (["1", "run", "time"], "3")
    assert rows["quiet_ms"] == ["0", "default", "-", "0"]
    assert set((await stands(pipe, keys)).by_instance["main"]) == {"max_messages", "mode"}

    await run("unset", "main", "mode")
    assert set((await stands(pipe, keys)).by_instance["main"]) == {"max_messages"}
    face = await told("unset", "main")
    assert face["settings"]["max_messages"]["value"] == 3
    assert (await stands(pipe, keys)).by_instance == {}


async def test_an_instance_is_paused_and_resumed(pipe: Pipe, keys: Keys) -> None:
    """Until somebody says so; both are seen at once by who looks."""
    said = await run("pause", "main")
    assert "paused, in force" in said
    assert "what comes is kept" in said
    assert (await stands(pipe, keys)).paused() == ["main"]
    face = await told("show", "main")
    assert face["paused"] is True
    assert face["paused_since"] == face["changed_at"]
    listed = await run()
    assert "window, paused" in listed
    assert "inturn instances resume main goes on" in listed
    assert "goes on, in force" in await run("resume", "main")
    assert (await stands(pipe, keys)).paused() == []
    assert (await told("show", "main"))["paused"] is False


async def test_an_account_goes_on_though_its_connection_is_paused(
    pipe: Pipe, keys: Keys, shell: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """What is said of it alone goes before what is said of all."""
    config = tmp_path / "behind.toml"
    config.write_text(
        '[instances.page]\nprovider = "messenger"\n'
        '[instances.shop]\nconnection = "page"\npage_id = "77"\n'
    )
    shell.setenv("INTURN_CONFIG", str(config))
    await run("pause", "page")
    assert (await told("show", "shop"))["paused"] is True
    assert (await told("resume", "shop"))["paused"] is False
    assert (await stands(pipe, keys)).is_paused("page", None)


async def test_an_account_that_nobody_names_goes_on_behind_a_paused_connection(
    pipe: Pipe, keys: Keys
) -> None:
    """Its messages alone tell what it is behind; what the command says holds all the same."""
    await run("pause", "page")
    assert "goes on" in await run("resume", "page:77")
    assert not (await stands(pipe, keys)).is_paused("page:77", "page")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("set", "main", "max_messages"), "max_messages: write max_messages=VALUE"),
        (("set", "main", "max_messages=many"), "max_messages must be a whole number from 1 to"),
        (("set", "main", "paused=yes"), "paused must be true or false"),
        (("set", "main", "handler=echo"), "handler cannot be set at run time; possible are mode"),
        (("set", "main", "quiet_ms=9000"), "must not exceed max_wait_ms, which is 8000"),
        (("unset", "main", "tempo"), "tempo is no setting of these: mode"),
        (("pause", "a\x01b"), "INSTANCE must have 1 to 128 characters"),
    ],
)
async def test_what_cannot_be_done_says_what_can(
    redis_client: Redis, keys: Keys, arguments: tuple[str, ...], says: str
) -> None:
    """Exit 2, and nothing has changed."""
    result = await invoke(*arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert not await redis_client.exists(keys.settings)


async def test_a_name_that_nobody_has_is_doubted(scripts: Scripts) -> None:
    """It is paused all the same: it may write yet."""
    assert "is the name right?" in await run("pause", "mian")
    await scripts.append("A")
    assert "is the name right?" not in await run("pause", SHOP)
