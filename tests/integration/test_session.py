"""``/session``: the cookie that stands for the token, and what it does not open."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from ingest.cookie import LIFE_S, NAME
from shared.settings import Settings
from tests.support.ingest_server import Answer, IngestServer, serving

TOKEN = "a-token-that-nobody-guesses"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


async def answer(_request: web.Request) -> web.Response:
    """Something that needs the token."""
    return web.Response(text="done")


ROUTES = (web.get("/guarded", answer), web.post("/guarded", answer))
OPEN_TO_ALL = (web.get("/shown", answer), web.post("/shown", answer))


def settings(**given: Any) -> Settings:
    """With a token, unless ``given`` says otherwise."""
    return Settings(**{"api_token": TOKEN, **given})


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """With a token, something that needs it, and something that does not."""
    async with serving(settings(), routes=ROUTES, open_routes=OPEN_TO_ALL) as running:
        yield running


async def log_in(server: IngestServer, token: str = TOKEN, **headers: str) -> Answer:
    """``POST /session``."""
    return await server.post("/session", {"token": token}, headers=headers)


def morsel_of(answer: Answer) -> Morsel[str]:
    """The one cookie that an answer sets."""
    (given,) = answer.all_of("Set-Cookie")
    (morsel,) = SimpleCookie(given).values()
    assert morsel.key == NAME
    return morsel


async def cookie_for(server: IngestServer) -> dict[str, str]:
    """The header of a browser that has logged in."""
    return {"Cookie": f"{NAME}={morsel_of(await log_in(server)).value}"}


async def test_the_token_gets_a_cookie_that_no_script_and_no_other_site_can_use(
    server: IngestServer,
) -> None:
    """HttpOnly, SameSite=Strict, for every path of this host; it is not the token."""
    given = await log_in(server)
    morsel = morsel_of(given)

    assert (given.status, given.json) == (200, {"logged_in": True, "expires_in_s": LIFE_S})
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Strict"
    assert (morsel["path"], morsel["domain"]) == ("/", "")
    assert int(morsel["max-age"]) == LIFE_S
    assert not morsel["secure"], "over plain HTTP the browser would drop it"
    assert TOKEN not in morsel.value
    assert given.headers["Cache-Control"] == "no-store"


async def test_a_form_is_taken_as_well(server: IngestServer) -> None:
    """What a page without scripts sends; and a form without a token is told so."""
    given = await server.post("/session", f"other=1&token={TOKEN}".encode(), headers=FORM)
    assert morsel_of(given).value

    assert (await server.post("/session", b"token=", headers=FORM)).status == 401
    for body in (b"", b"&" * 4096, b"token=a&token=b", b"other=1"):
        assert (await server.post("/session", body, headers=FORM)).error == (
            "missing_field: token is missing"
        )


@pytest.mark.parametrize(
    "settings_of_it, headers",
    [
        ({"public_url": "https://queue.example.org"}, {}),
        ({}, {"X-Forwarded-Proto": "https"}),
        ({}, {"X-Forwarded-Proto": "HTTPS, http"}),
    ],
)
async def test_over_https_it_never_travels_in_the_clear(
    settings_of_it: dict[str, str], headers: dict[str, str]
) -> None:
    """``Secure``, where PUBLIC_URL or the proxy in front says that browsers speak HTTPS."""
    async with serving(settings(**settings_of_it)) as server:
        assert morsel_of(await log_in(server, **headers))["secure"] is True


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "tökén 🙂"])
async def test_a_wrong_token_gets_nothing(server: IngestServer, token: str) -> None:
    """401 as everywhere, and no cookie."""
    given = await log_in(server, token)

    assert (given.status, given.error) == (401, "unauthorized: unauthorized")
    assert given.all_of("Set-Cookie") == []


async def test_tokens_and_cookies_are_compared_in_constant_time(server: IngestServer) -> None:
    """The comparison does not tell how much of a guess is right."""
    cookie = await cookie_for(server)
    compared: list[tuple[object, object]] = []

    def compare(mine: bytes, other: bytes) -> bool:
        compared.append((mine, other))
        return mine == other

    with patch.object(hmac, "compare_digest", compare):
        await log_in(server, "guess")
        await server.request("GET", "/guarded", headers=cookie)
    assert (b"guess", TOKEN.encode()) in compared
    signature = cookie["Cookie"].rpartition(".")[2].encode()
    assert (signature, signature) in compared


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"token": 5}', b'{"token": null}'])
async def test_what_holds_no_token_is_refused(server: IngestServer, body: bytes) -> None:
    """400, and nothing above a warning is logged."""
    assert (await server.post("/session", body)).status == 400
    assert server.worst_logged() == []


async def test_the_cookie_stands_for_the_token(server: IngestServer) -> None:
    """It opens what the token opens; beside a wrong token, too; without it nothing is open."""
    cookie = await cookie_for(server)

    assert (await server.request("GET", "/guarded", headers=cookie)).status == 200
    assert (await server.post("/guarded", {}, headers={**cookie, **OWN_PAGE})).status == 200
    both = {**cookie, **OWN_PAGE, "Authorization": "Bearer wrong"}
    assert (await server.post("/guarded", {}, headers=both)).status == 200
    assert (await server.request("GET", "/guarded")).status == 401
    assert (await server.post("/guarded", {}, headers=OWN_PAGE)).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:{port}"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[broken"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1:{port}.evil.example"},
        {"Origin": "http://127.0.0.1:{port}@evil.example"},
        {"Referer": "http://127.0.0.1:{port}/"},
    ],
)
async def test_a_foreign_page_cannot_use_it_to_change_anything(
    server: IngestServer, headers: dict[str, str]
) -> None:
    """Where the browser does not say that a page of this origin asks, it is a 401."""
    sent = {name: value.replace("{port}", str(server.port)) for name, value in headers.items()}
    cookie = await cookie_for(server)

    assert (await server.post("/guarded", {}, headers={**cookie, **sent})).status == 401


async def test_two_origins_are_none(server: IngestServer) -> None:
    """A proxy and we could look at different ones."""
    cookie = await cookie_for(server)
    own = f"http://127.0.0.1:{server.port}"
    once = [("Cookie", cookie["Cookie"]), ("Origin", own)]

    assert (await server.post("/guarded", {}, headers=once)).status == 200
    twice = [*once, ("Origin", "https://evil.example")]
    assert (await server.post("/guarded", {}, headers=twice)).status == 401


async def test_pages_of_the_public_url_are_ours() -> None:
    """A proxy may call this service by another name than browsers do."""
    async with serving(settings(public_url="https://Queue.example.org"), routes=ROUTES) as server:
        cookie = await cookie_for(server)
        for origin, status in (
            ("https://queue.example.org", 200),
            ("https://queue.example.org.evil.example", 401),
        ):
            headers = {**cookie, "Origin": origin}
            assert (await server.post("/guarded", {}, headers=headers)).status == status


async def test_what_is_nearly_a_cookie_opens_nothing(server: IngestServer) -> None:
    """Neither the token itself, nor a signature of another time, nor a piece of one."""
    value = (await cookie_for(server))["Cookie"].partition("=")[2]
    expires_s, _, signature = value.partition(".")
    forged = [
        "",
        ".",
        TOKEN,
        expires_s,
        f"{expires_s}.",
        f".{signature}",
        f"{int(expires_s) + 1}.{signature}",
        f"{expires_s}.{signature[:-1]}",
        f"{expires_s}.{signature.upper()}x",
        f"{expires_s}.{signature}x",
        f'"{expires_s}.\\303\\251"',
        f"{expires_s}.é",
        f"{expires_s}.{hmac.new(TOKEN.encode(), expires_s.encode(), 'sha256').hexdigest()}",
    ]
    for each in forged:
        headers = {"Cookie": f"{NAME}={each}"}
        assert (await server.request("GET", "/guarded", headers=headers)).status == 401, each
    assert server.worst_logged() == []


async def test_another_token_voids_it(server: IngestServer) -> None:
    """Whoever changes API_TOKEN logs everybody out; a second process takes the same cookie."""
    cookie = await cookie_for(server)

    async with serving(settings(), routes=ROUTES) as second:
        assert (await second.request("GET", "/guarded", headers=cookie)).status == 200
    async with serving(settings(api_token="a-new-one"), routes=ROUTES) as changed:
        assert (await changed.request("GET", "/guarded", headers=cookie)).status == 401


async def test_a_browser_can_ask_and_log_out(server: IngestServer) -> None:
    """GET tells, DELETE makes the browser forget; both also without a cookie."""
    cookie = await cookie_for(server)

    assert (await server.request("GET", "/session")).json == {"logged_in": False}
    assert (await server.request("GET", "/session", headers=cookie)).json == {"logged_in": True}
    for headers in ({}, cookie):
        gone = await server.request("DELETE", "/session", headers=headers)
        morsel = morsel_of(gone)
        assert (gone.status, gone.json) == (200, {"logged_in": False})
        assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", "/")


async def test_without_a_configured_token_this_machine_needs_no_cookie() -> None:
    """It is told so; through a proxy nobody is let in."""
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    async with serving(routes=ROUTES, open_routes=OPEN_TO_ALL) as server:
        given = await log_in(server, "whatever")
        assert given.json == {"logged_in": True, "expires_in_s": None}
        assert given.all_of("Set-Cookie") == []
        assert (await server.request("GET", "/session")).json == {"logged_in": True}
        assert (await log_in(server, "whatever", **forwarded)).status == 401
        told = await server.request("GET", "/session", headers=forwarded)
        assert told.json == {"logged_in": False}
        for path in ("/guarded", "/shown"):
            assert (await server.request("GET", path)).status == 200
            assert (await server.request("GET", path, headers=forwarded)).status == 401


async def test_what_is_public_is_open_once_a_token_is_set(server: IngestServer) -> None:
    """Then the operator has decided who may reach this service."""
    for headers in ({}, {"X-Forwarded-For": "203.0.113.9", "Host": "queue.example.org"}):
        assert (await server.request("GET", "/shown", headers=headers)).status == 200
        assert (await server.post("/shown", {}, headers=headers)).status == 200


async def test_neither_token_nor_cookie_is_logged(server: IngestServer) -> None:
    """Not when they are right, not when they are wrong, at no level."""
    cookie = await cookie_for(server)
    await server.request("GET", "/guarded", headers=cookie)
    await log_in(server, "a-wrong-token")
    await server.request("GET", "/guarded", headers={"Cookie": f"{NAME}=a-wrong-cookie"})

    told = json.dumps(server.logs)
    assert "session.began" in told, "void"
    for secret in (TOKEN, cookie["Cookie"].partition("=")[2], "a-wrong-token", "a-wrong-cookie"):
        assert secret not in told
