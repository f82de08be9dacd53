"""
Files of ``ingest/static``: read once, served from memory with a tag, under one strict policy.

A name is looked up among what was read; no request becomes a path on the disk. Browsers ask each
time whether a file is still the same (304), so that nobody has an old page with a new script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from aiohttp import ETag, hdrs, web

from shared.errors import RequestRefused

FOLDER = Path(__file__).with_name("static")

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
    }
)
"""Not the system's table: a wrong type there would keep browsers from running a module."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # No script can make markup out of text, not even ours.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # `no-referrer` would make browsers send `Origin: null` with a form's POST.
        "Referrer-Policy": "same-origin",
        hdrs.CACHE_CONTROL: "no-cache",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """What one file is served as."""

    body: bytes
    content_type: str
    tag: str

    def answer(self, request: web.Request) -> web.Response:
        """200 with the file, or 304 where the browser has this one."""
        known = request.if_none_match or ()
        is_known = any(tag.value in (self.tag, "*") for tag in known)
        answer = web.Response(status=304 if is_known else 200, headers=HEADERS)
        answer.etag = ETag(self.tag)
        if not is_known:
            answer.body = self.body
            answer.content_type = self.content_type
            if self.content_type != "image/svg+xml":
                answer.charset = "utf-8"
        return answer


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Every file by its path below ``ingest/static``; read at the first call."""
    found = (path for path in FOLDER.rglob("*") if path.suffix in CONTENT_TYPES)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in found}


def static_file(name: str) -> StaticFile:
    """
    The file of this name.

    Raises:
        RequestRefused: 404, there is none.
    """
    found = static_files().get(name)
    if found is None:
        raise RequestRefused(404, "not_found", "there is nothing at this path")
    return found


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    return StaticFile(
        body=body,
        content_type=CONTENT_TYPES[path.suffix],
        tag=hashlib.blake2b(body, digest_size=12).hexdigest(),
    )
