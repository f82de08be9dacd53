"""``GET /api/v1/report``: the same as ``inturn doctor --json``, from where this service stands."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ingest.answers import json_answer
from shared.connect import Pipe
from shared.doctor import judge
from shared.doctor.examine import examine
from shared.doctor.report import look_at_data, report_face
from shared.settings import Settings

PATH = "/api/v1/report"


class ReportApi:
    """
    The endpoint. Access was checked before it is called.

    Nothing is written, so the doctor's points ``reachable`` and ``rights`` are not among these: a
    service that lacks a right would not have started. One look at a time: who asks meanwhile waits.
    """

    def __init__(self, reads: Pipe, settings: Settings) -> None:
        self._reads = reads
        self._settings = settings
        self._turn = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.get(PATH, self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """
        200, also when something is wrong: ``ok`` says it.

        Raises:
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        async with self._turn:
            found = await examine(self._reads, self._settings, probing=False)
            data = await look_at_data(self._reads, found, self._settings)
        return json_answer(report_face(judge(found, self._settings), found, data))
