"""
``GET /api/v1/spool``: what waits on disk for Redis, of this process and of this machine.

Redis is not asked, for it is looked at while Redis is away. Counts only: what people wrote and who
they are stays in the files. Of other machines nothing is known here; their metrics tell.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from dataclasses import asdict
from typing import Any

from aiohttp import web
from prometheus_client import Gauge

from ingest.answers import json_answer
from ingest.asked import query_of
from ingest.spool.room import folder_bytes
from ingest.spool.status import FolderStatus, look
from shared.metrics import IngestMetrics
from shared.settings import MiB, Settings

PATH = "/api/v1/spool"

COUNTED_BYTES = 8 * MiB
"""What is larger is not read to count it, for ingest has something better to do then."""

FRESH_S = 2.0


class SpoolApi:
    """The endpoint. Access was checked before it is called. One look at the disk at a time."""

    def __init__(
        self, settings: Settings, metrics: IngestMetrics, *, counted_bytes: int = COUNTED_BYTES
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._counted_bytes = counted_bytes
        self._turn = asyncio.Lock()
        self._looked_s = -FRESH_S
        self._disk: dict[str, Any] = {}

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.get(PATH, self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """
        200; ``folders`` are those on the disk that this process uses, also those of others.

        Raises:
            RequestRefused: 400.
        """
        query_of(request)
        async with self._turn:
            if time.monotonic() >= self._looked_s + FRESH_S:
                self._disk = await asyncio.to_thread(self._look)
                self._looked_s = time.monotonic()
        return json_answer(
            {
                "told_by": f"{platform.node()}:{os.getpid()}",
                "on_outage": self._settings.on_outage,
                "messages": int(_value_of(self._metrics.spool_messages)),
                "oldest_s": round(_value_of(self._metrics.spool_oldest_seconds), 3),
                "max_bytes": self._settings.spool_max_bytes,
                **self._disk,
            }
        )

    def _look(self) -> dict[str, Any]:
        root = self._settings.spool_dir
        used_bytes = folder_bytes(root)
        is_counted = used_bytes <= self._counted_bytes
        found = look(root, self._settings.prefix) if is_counted else []
        return {
            "used_bytes": used_bytes,
            "is_counted": is_counted,
            "folders": [_face(folder) for folder in found],
        }


def _face(folder: FolderStatus) -> dict[str, Any]:
    return {**asdict(folder), "is_ours": folder.held_by == os.getpid()}


def _value_of(gauge: Gauge) -> float:
    """A gauge that asks a function at each look."""
    (metric,) = gauge.collect()
    return float(metric.samples[0].value)
