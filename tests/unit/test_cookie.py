"""How long the cookie of ``/session`` opens what the token opens."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.cookie import LIFE_S, NAME, SessionCookie

TOKEN = "a-token-that-nobody-guesses"
START_S = 1_800_000_000


def test_it_ends() -> None:
    """After its time it opens nothing, whatever the browser keeps."""
    now_s = [float(START_S)]
    cookie = SessionCookie(TOKEN, now_s=lambda: now_s[0])
    given = web.Response()
    cookie.give(given, make_mocked_request("POST", "/session"))
    headers = {"Cookie": f"{NAME}={given.cookies[NAME].value}"}

    now_s[0] = START_S + LIFE_S - 1
    assert cookie.vouches_for(make_mocked_request("GET", "/", headers=headers))
    now_s[0] = START_S + LIFE_S
    assert not cookie.vouches_for(make_mocked_request("GET", "/", headers=headers))
