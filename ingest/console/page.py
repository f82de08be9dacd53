"""
``/console``: where one sees who waits and why, and does something about it.

The page is the same bytes for everybody, holds no data and needs no token; what it asks for does.
Its views are told by what stands behind ``#`` in its address, which browsers keep to themselves.
"""

from __future__ import annotations

from aiohttp import web

from ingest.static_files import static_file

PATH = "/console"


def page_routes() -> list[web.RouteDef]:
    """What holds no data."""
    return [web.get(PATH, show_page)]


async def show_page(request: web.Request) -> web.Response:
    """The shell; its script fills it."""
    return static_file("console/console.html").answer(request)
