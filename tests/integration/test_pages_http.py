"""The pages and what they are made of, as the server hands them out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.static_files import FOLDER, POLICY, static_files
from shared.settings import Settings
from tests.support.ingest_server import IngestServer, serving

PAGES = ("/queue/north", "/queue/north/screen", "/queue/north/desk")
FROM_AFAR = {"X-Forwarded-For": "203.0.113.9"}
MARKUP = "%3Cimg%20src=x%20onerror=alert(1)%3E"
NAMES = ("north", MARKUP, "%D8%B9", "a%7Bb%7D", "a%2Fb", "%25", "50%2525")
each_page = pytest.mark.parametrize("path", PAGES)


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server with a token."""
    async with serving(Settings(api_token="s3cret")) as running:
        yield running


@each_page
async def test_a_page_is_for_everybody_and_may_load_nothing_foreign(
    server: IngestServer, path: str
) -> None:
    """Nobody needs a token to look, and no other site, inline script or markup gets in."""
    answer = await server.request("GET", path, headers=FROM_AFAR)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in POLICY
    page = answer.body.decode()
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?![^>]* src=)", page)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 4
    for url in loaded:
        assert (await server.request("GET", url, headers=FROM_AFAR)).status == 200, url


@each_page
async def test_a_page_is_for_this_machine_alone_where_no_token_is_set(path: str) -> None:
    """Whoever has set no token has not meant to publish anything."""
    async with serving() as server:
        assert (await server.request("GET", path)).status == 200
        assert (await server.request("GET", path, headers=FROM_AFAR)).status == 401
        file = await server.request("GET", "/static/common/style.css", headers=FROM_AFAR)
        assert file.status == 401


async def test_nothing_of_the_address_is_written_into_a_page(server: IngestServer) -> None:
    """Every clinic gets the same bytes, so there is nothing to escape."""
    pages = [await server.request("GET", f"/queue/{name}") for name in NAMES]

    assert {page.status for page in pages} == {200}
    assert len({page.body for page in pages}) == 1


@pytest.mark.parametrize("path", ["/queue/%0A", "/queue/" + "x" * 129, "/queue/north/else"])
async def test_what_is_no_queue_has_no_page(server: IngestServer, path: str) -> None:
    """A name that no clinic can have, and a page that there is not."""
    answer = await server.request("GET", path)

    assert answer.status == 404
    assert answer.error.startswith("not_found: ")


async def test_a_browser_asks_each_time_and_loads_once(server: IngestServer) -> None:
    """After an update nobody runs an old script in a new page; until then nothing is sent again."""
    path = "/static/queue/phone.js"
    first = await server.request("GET", path)
    again = await server.request("GET", path, headers={"If-None-Match": first.headers["ETag"]})
    other = await server.request("GET", path, headers={"If-None-Match": '"another"'})

    assert first.headers["Cache-Control"] == "no-cache"
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize(
    "path",
    [
        "/static/common/none.js",
        "/static/queue/phone.html",
        "/static/..%2F..%2Fauth.py",
        "/static/common/..%2F..%2Fauth.py",
        "/static/../ingest/auth.py",
    ],
)
async def test_only_what_was_read_at_the_start_is_served(server: IngestServer, path: str) -> None:
    """No spelling of a path leads to another file."""
    assert (await server.request("GET", path)).status == 404


async def test_a_wrong_method_is_told(server: IngestServer) -> None:
    """Pages are looked at, and that is all."""
    answer = await server.request("POST", "/queue/north", headers=FROM_AFAR)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_every_file_is_served_and_written_for_people() -> None:
    """None is left out by its ending, or of the package; each is small enough to be read."""
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    packed = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())

    (pattern,) = packed["tool"]["setuptools"]["package-data"]["ingest"]
    assert set(FOLDER.parent.glob(pattern)) == set(files)

    assert static_files().keys() == {path.relative_to(FOLDER).as_posix() for path in files}
    assert [path.name for path in files if lines_of(path) >= 300] == []


def test_scripts_import_and_load_only_from_here() -> None:
    """What the policy would forbid at run time is not even written."""
    for path in FOLDER.rglob("*.*"):
        text = path.read_text()
        for target in re.findall(r'from "([^"]+)"', text):
            assert (path.parent / target).resolve().is_file(), (path.name, target)
        foreign = re.findall(r"https?://[^\s\"')]+", text)
        assert set(foreign) <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)


def lines_of(path: Path) -> int:
    """Of a text."""
    return len(path.read_text().splitlines())
