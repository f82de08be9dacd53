"""What a part of ingest brings to its HTTP service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRoutes:
    """
    The routes that are open to everybody, and those for whoever has the token. ``end_streams``
    ends at once what would else stay open for minutes.
    """

    open: list[web.RouteDef]
    staff: list[web.RouteDef]
    end_streams: Callable[[], None]
