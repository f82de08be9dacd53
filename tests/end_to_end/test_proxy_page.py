"""``docs/proxy.md``: what it has one write is run, with a real nginx, and lets nothing else out."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from shared.lifeline import tie_to_this_process
from shared.settings import Settings
from tests.support.doc_pages import OURS, blocks_of
from tests.support.evolution_payloads import text_item, webhook
from tests.support.ingest_server import IngestServer, serving
from tests.support.redis_server import free_port
from tests.support.tools import require_tool
from tests.support.waiting import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "proxy.md").read_text()
PUBLIC = "https://bot.example.org"
HIDDEN = (
    "/",
    "/metrics",
    "/readyz",
    "/openapi.json",
    "/playground",
    "/api/v1/messages",
    "/webhooks",
)
# `user` is for root alone, whose workers could not write here otherwise.
FRAME = """
user root; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def block(language: str) -> str:
    """The only one of its kind on the page."""
    (found,) = blocks_of(PAGE, language)
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As the page has them written."""
    monkeypatch.setenv("API_TOKEN", "planted-token")
    monkeypatch.setenv("EVOLUTION_SECRET", "planted-secret")
    return Settings(**tomllib.loads(block("toml")))


@asynccontextmanager
async def nginx(folder: Path, server: IngestServer, text: str) -> AsyncIterator[str]:
    """The page's, without TLS, in front of ``server``; its URL."""
    program = require_tool("nginx", "nginx-light")
    port = free_port()
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    assert "listen 443 ssl;" in text
    assert OURS in text
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = text.replace(OURS, f"{server.host}:{server.port}")
    file = folder / "nginx.conf"
    file.write_text(FRAME.format(folder=folder, server=text))
    running = start(program, file)

    async def answers() -> bool:
        assert running.poll() is None, (folder / "error.log").read_text()
        return await status_of(f"http://127.0.0.1:{port}/") != 0

    try:
        await eventually(answers, "nginx", 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(10)


def start(program: str, file: Path) -> subprocess.Popen[bytes]:
    """In the foreground; it ends with this process."""
    return subprocess.Popen(
        [program, "-c", file, "-e", file.with_name("error.log")],
        stdin=subprocess.DEVNULL,
        preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the main thread forks
    )


async def status_of(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> int:
    """The answer's status to GET, or to POST of a ``body``; 0 if nobody listens."""
    method, data = ("GET", None) if body is None else ("POST", io.BytesIO(body))
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=data, headers=headers) as answer,
        ):
            return answer.status
    except aiohttp.ClientConnectionError:
        return 0


def evolution_item(text: str = "hello") -> bytes:
    """A webhook of the account that the page's settings have."""
    return json.dumps(webhook(text_item(text), instance="reception")).encode()


async def test_only_webhooks_are_published(settings: Settings, tmp_path: Path) -> None:
    """A proven webhook is taken, also a large one, unproven ones are 401; all else is 404."""
    async with serving(settings) as server, nginx(tmp_path, server, block("nginx")) as url:
        hook, proof = f"{url}/webhooks/evolution/reception", {"apikey": "planted-secret"}
        large = evolution_item("x" * 2_000_000)

        assert await status_of(hook, body=evolution_item(), headers=proof) == 200
        assert await status_of(hook, body=large, headers=proof) == 200
        assert await status_of(hook, body=evolution_item()) == 401
        assert [path for path in HIDDEN if await status_of(url + path) != 404] == []
        bearer = {"Authorization": "Bearer planted-token"}
        assert await status_of(f"{url}/api/v1/messages", body=b"{}", headers=bearer) == 404
        assert len(server.appender.messages) >= 1
    assert (tmp_path / "access.log").read_text().count("/webhooks/") == 0


async def test_its_check_from_outside_says_what_is_told(settings: Settings, tmp_path: Path) -> None:
    """Each curl prints the status that stands behind it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is missing")
    async with serving(settings) as server, nginx(tmp_path, server, block("nginx")) as url:
        lines = block("sh").splitlines()
        assert len(lines) == 3
        for line in lines:
            command, _, told = line.partition("#")
            assert PUBLIC in command
            said = await run(command.replace(PUBLIC, url))
            assert said.strip() == told.split(":")[0].strip(), command


async def run(command: str) -> str:
    """What a shell command prints."""
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


async def test_a_proxy_that_hides_looks_like_this_machine(tmp_path: Path) -> None:
    """Why the page says to keep both headers: without them strangers get in, with them none."""
    hook = "webhooks/evolution/bare"
    text = block("nginx")
    hiding = re.sub(r"^ *proxy_set_header (Host|X-Forwarded-For).*\n", "", text, flags=re.MULTILINE)
    assert len(hiding.splitlines()) == len(text.splitlines()) - 2
    body = json.dumps(webhook(text_item(), instance="bare")).encode()
    async with serving() as server:
        for name, conf, status in (("as it is", text, 401), ("hiding", hiding, 200)):
            (folder := tmp_path / name.replace(" ", "-")).mkdir()
            async with nginx(folder, server, conf) as url:
                assert await status_of(f"{url}/{hook}", body=body) == status, name


def test_the_tunnel_publishes_webhooks_alone() -> None:
    """The first rule takes webhooks, the last one, which takes all else, is a 404."""
    first, last = yaml.safe_load(block("yaml"))["ingress"]

    assert first["service"] == f"http://{OURS}"
    assert first["hostname"] == PUBLIC.removeprefix("https://")
    assert re.search(first["path"], "/webhooks/evolution/reception")
    assert [path for path in HIDDEN if re.search(first["path"], path)] == []
    assert last == {"service": "http_status:404"}
