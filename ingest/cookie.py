"""
The cookie by which a browser shows that the token was typed into it once.

Its value is a time and what only the token's owner can have made of it: nothing is stored, so
every ingest process takes it, a crash logs nobody out, and another ``API_TOKEN`` voids them all.
The time is the wall clock's; machines that differ by minutes do not matter within ``LIFE_S``.

A browser sends cookies along with whatever a page makes it send. ``SameSite=Strict`` keeps pages
of other sites out, not those of the same site (another port or subdomain), so what changes
something is taken only from a page of our own origin, as the browser itself says.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web

NAME = "inturn_session"
LIFE_S = 30 * 86_400
"""Staff log in once a month, on each device."""

_PURPOSE = b"inturn-session\0"
_READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class SessionCookie:
    """Makes and knows the cookies of one token; ``public_url`` is an origin of ours, if set."""

    def __init__(
        self,
        token: str,
        public_url: str | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._token = token.encode()
        self._public = urlsplit(public_url or "")
        self._now_s = now_s

    def is_token(self, given: str) -> bool:
        """Whether it is the token, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(given.encode(errors="surrogatepass"), self._token)

    def give(self, answer: web.Response, request: web.Request) -> None:
        """Set a fresh one; it never travels in the clear where the browser speaks HTTPS."""
        expires_s = str(int(self._now_s()) + LIFE_S)
        answer.set_cookie(
            NAME,
            f"{expires_s}.{self._sign(expires_s)}",
            max_age=LIFE_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._is_https(request),
        )

    def take_back(self, answer: web.Response, request: web.Request) -> None:
        """Make the browser forget it; a copy that somebody took of it lives on until its end."""
        answer.del_cookie(
            NAME, path="/", httponly=True, samesite="Strict", secure=self._is_https(request)
        )

    def vouches_for(self, request: web.Request) -> bool:
        """Whether the request carries a valid one, and comes from a page of ours if it changes."""
        value = request.cookies.get(NAME)
        if value is None or not self._is_valid(value):
            return False
        return request.method in _READING or self._comes_from_us(request)

    def _is_valid(self, value: str) -> bool:
        expires_s, _, signature = value.partition(".")
        mine = self._sign(expires_s).encode()
        if not hmac.compare_digest(signature.encode(errors="surrogateescape"), mine):
            return False
        return self._now_s() < int(expires_s)

    def _sign(self, expires_s: str) -> str:
        told = _PURPOSE + expires_s.encode(errors="surrogateescape")
        return hmac.new(self._token, told, hashlib.sha256).hexdigest()

    def _comes_from_us(self, request: web.Request) -> bool:
        """
        By ``Sec-Fetch-Site``, which no script can set; over plain HTTP, and from old browsers, by
        ``Origin``. Every browser sends one of the two with a POST.
        """
        sites = request.headers.getall("Sec-Fetch-Site", ())
        if sites:
            return set(sites) == {"same-origin"}
        origins = request.headers.getall(hdrs.ORIGIN, ())
        hosts = {request.headers.get(hdrs.HOST, "").lower(), self._public.netloc.lower()} - {""}
        return len(origins) == 1 and _host_of(origins[0]) in hosts

    def _is_https(self, request: web.Request) -> bool:
        browsers, _, _ = request.headers.get("X-Forwarded-Proto", "").partition(",")
        return request.secure or "https" in (self._public.scheme, browsers.strip().lower())


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
