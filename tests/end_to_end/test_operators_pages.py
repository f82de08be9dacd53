"""The commands of the pages for operators, run as they stand, on a real system."""

from __future__ import annotations

import asyncio
import re
import sys
import textwrap
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from redis import Redis

from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.deploy_files import DEPLOY
from tests.support.deployment import QUICK
from tests.support.doc_pages import OURS
from tests.support.redis_server import ROOT, RedisServer
from tests.support.redis_users import ROLES, Role, write_users
from tests.support.service_process import ServiceProcess, environment
from tests.support.tools import require_tool

DOCS = ROOT / "docs"
PAGES = ("security", "durability", "leaving", "upgrade")
TOKEN = "planted-token"
ELSEWHERE = ("systemctl", "pip")
"""Programs that would change the machine: here they only note how they were called."""


def blocks_of(page: str, language: str) -> list[str]:
    """The fenced blocks of a page, those of its lists among them."""
    text = (DOCS / f"{page}.md").read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A running system, and a shell in which somebody reads the pages."""

    folder: Path
    ingest: ServiceProcess
    consumer: ServiceProcess
    server: RedisServer

    async def run(self, script: str) -> str:
        """What a block prints; every command of it must succeed."""
        for named, here in (
            (OURS, self.ingest.url.removeprefix("http://")),
            ("/opt/inturn/bin/", f"{self.folder}/bin/"),
            ("sleep 5", "sleep 0.1"),
        ):
            script = script.replace(named, here)
        settings = {"redis_url": url_for(self.server, "operator"), "api_token": TOKEN}
        env = environment(**settings, partitions=QUICK["partitions"])
        env |= {"PATH": f"{self.folder}/bin:{env['PATH']}", "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            script,
            cwd=self.folder,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        assert process.returncode == 0, f"{script}\n{said.decode()}"
        return said.decode()

    def calls(self) -> list[str]:
        """How programs that would change the machine were called."""
        return (self.folder / "calls").read_text().splitlines()


def write_programs(folder: Path) -> None:
    """The command ``inturn``, and those that only note their calls."""
    (folder / "bin").mkdir()
    programs = {name: f'echo "{name} $*" >> {folder}/calls' for name in ELSEWHERE}
    programs["inturn"] = f'exec {sys.executable} -m ops.cli "$@"'
    for name, text in programs.items():
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)


def url_for(server: RedisServer, role: Role) -> str:
    """As one of the users that ``deploy/redis`` has."""
    return f"redis://{role}:{role}@127.0.0.1:{server.port}/0"


@pytest.fixture
def server(redis_binary: ServerBinary, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis as the pages have it: with an append-only file and with inturn's users."""
    users = {"aclfile": str(write_users(tmp_path, redis_binary.version, prefix="inturn:"))}
    server = RedisServer(redis_binary, on_port=True, options={"appendonly": "yes", **users})
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
async def place(server: RedisServer, tmp_path: Path) -> AsyncIterator[Place]:
    """Ingest and a worker, and three messages of a user in it."""
    require_tool("redis-cli", "redis-tools")
    write_programs(tmp_path)
    settings = {**QUICK, "api_token": TOKEN, "spool_dir": tmp_path / ".inturn" / "spool"}
    mine = [{**settings, "redis_url": url_for(server, role)} for role in ROLES[:2]]
    async with (
        ServiceProcess("ingest", tmp_path, mine[0]) as ingest,
        ServiceProcess("consumer", tmp_path, mine[1]) as consumer,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
    ):
        await consumer.owns(QUICK["partitions"])
        for text in ("hi", "are you open?", "on friday"):
            message = {"instance": "shop", "user": "ana", "text": text}
            async with session.post(f"{ingest.url}/api/v1/messages", json=message) as answer:
                assert answer.status == 202
        yield Place(folder=tmp_path, ingest=ingest, consumer=consumer, server=server)


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_of_a_page_load(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands there to be copied can be copied."""
    for text in blocks_of(page, "toml"):
        for variable in re.findall(r'"env:(\w+)"', text):
            monkeypatch.setenv(variable, "planted")
        assert Settings(**tomllib.loads(text)).model_fields_set


async def test_security(place: Place) -> None:
    """A token is made, the API asks for it, a user is forgotten, and Redis tells what it denied."""
    make, ask, forget, denied = blocks_of("security", "sh")

    assert re.fullmatch(r"[0-9a-f]{64}\n", await place.run(make))
    assert '"ana"' in await place.run(ask)
    named = re.findall(r"\b491700000001\b", forget)
    assert len(named) == forget.count("shop") == 2
    answered = forget.replace(named[0], "ana").replace("inturn forget", "echo y | inturn forget")
    await place.run(answered)
    assert "nothing is known" in await place.run(ask)
    await place.run(denied)
    assert "unauthorized" in await place.run(ask.replace("$INTURN_API_TOKEN", "another"))


async def test_durability(place: Place) -> None:
    """The doctor, the spool and Redis are asked, and nothing is left in the spool."""
    look, replay = blocks_of("durability", "sh")

    said = await place.run(look)
    assert "durability" in said
    assert "aof_enabled" in said
    await place.run(replay)


async def test_an_upgrade(place: Place) -> None:
    """Consumers first, by the names of the units; the layout can be read."""
    upgrade, layout = blocks_of("upgrade", "sh")

    assert "inturn" in await place.run(upgrade)
    assert [call.split()[-1] for call in place.calls()[1:]] == ["inturn-consumer", "inturn-ingest"]
    units = {path.stem for path in (DEPLOY / "systemd").glob("*.service")}
    assert units == {"inturn-consumer", "inturn-ingest"}
    assert "layout" in await place.run(layout)
    named = re.findall(r"deploy/[\w./]+", (DOCS / "upgrade.md").read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


async def test_coming_from_a_buffer(place: Place) -> None:
    """One user's way is shown, and the whole."""
    (look,) = blocks_of("coming-from-a-buffer", "sh")

    said = await place.run(look)
    assert "append_only" in said
    assert said.startswith("last message")


async def test_leaving(place: Place) -> None:
    """It drains, what is left is shown, and then nothing of it is in Redis or on the disk."""
    pause, drain, decide, delete = blocks_of("leaving", "sh")

    assert "paused" in await place.run(pause)
    assert "0 messages wait" in await place.run(drain)
    assert "no dead letters" in await place.run(decide)
    await place.ingest.stop()
    await place.consumer.stop()
    with Redis.from_url(place.server.url, protocol=2) as client:
        assert client.keys()
        await place.run(delete)
        assert client.keys() == []
    assert not (place.folder / ".inturn").exists()
