"""
The pages of a queue: for a person's phone, for the wall, for the desk; and what they are made of.

A page is the same bytes for every clinic: it holds no data and needs no token. Its script takes
the clinic's name out of the address and asks the API, so nothing that a user or an address says is
ever written into markup here.
"""

from __future__ import annotations

from aiohttp import web

from ingest.static_files import static_file
from shared.errors import RequestRefused
from shared.keys import is_instance_name

PATH = "/queue/{clinic}"
ROUTE = PATH.replace("clinic", "clinic:[^/]+")  # aiohttp leaves braces out of what has no pattern
STATIC_PATH = "/static/{folder}/{name}"


class Pages:
    """Shells and static files, from memory."""

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; parts of the path are percent-decoded."""
        return [
            web.get(ROUTE, self.show_phone),
            web.get(f"{ROUTE}/screen", self.show_screen),
            web.get(f"{ROUTE}/desk", self.show_desk),
            web.get(STATIC_PATH, self.show_file),
        ]

    async def show_phone(self, request: web.Request) -> web.Response:
        """Where a person takes a number and waits."""
        return _page(request, "phone")

    async def show_screen(self, request: web.Request) -> web.Response:
        """What hangs on the wall: now serving, and the next ones."""
        return _page(request, "screen")

    async def show_desk(self, request: web.Request) -> web.Response:
        """Where staff call the next one. What it does needs a session; to look at it does not."""
        return _page(request, "desk")

    async def show_file(self, request: web.Request) -> web.Response:
        """
        A style, a script or an icon; pages have addresses of their own.

        Raises:
            RequestRefused: 404.
        """
        folder, name = request.match_info["folder"], request.match_info["name"]
        return static_file(f"{folder}/{name.removesuffix('.html')}").answer(request)


def _page(request: web.Request, name: str) -> web.Response:
    if not is_instance_name(request.match_info["clinic"]):
        raise RequestRefused(404, "not_found", "there is no clinic of that name")
    return static_file(f"queue/{name}.html").answer(request)
