"""
``/api/v1/dead-letters``: windows that were given up, for the person who decides about them.

The same as ``inturn dead``. No list tells what people wrote or who they are; one letter tells its
user, and its texts only when asked for them.
"""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.asked import (
    PLACED_ID,
    fields_of,
    flag_of,
    limit_of,
    placed,
    query_of,
    telling_of_missing_rights,
)
from ingest.body import BodyReader
from shared.dead_letters import GONE, DeadLetters, Meant, ReplayCode, ReplayPage
from shared.errors import RequestRefused
from shared.kept_letters import LetterId
from shared.keys import Keys
from shared.letter_face import letter_face, whole_letter_face
from shared.pipe import Pipe
from shared.survey import count_kept

PATH = "/api/v1/dead-letters"
ONE = f"{PATH}/{{id:{PLACED_ID}}}"

log: FilteringBoundLogger = structlog.get_logger()


class DeadLettersApi:
    """The endpoints. Access was checked before they are called; each may be called again."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._letters = DeadLetters(pipe, keys)
        self._bodies = BodyReader()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [
            web.get(PATH, self.show_list),
            web.get(f"{PATH}/groups", self.show_groups),
            web.post(f"{PATH}/replay", self.replay_some),
            web.get(ONE, self.show),
            web.post(f"{ONE}/replay", self.replay),
            web.delete(ONE, self.discard),
        ]

    async def show_list(self, request: web.Request) -> web.Response:
        """
        200 with the newest, newest first, and where the next page begins.

        Raises:
            RequestRefused: 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        query = query_of(request, "limit", "before", "instance", "error")
        before = placed(LetterId.parse, query, "before")
        page = await self._letters.page(_meant_by(query), before, limit_of(query))
        return json_answer(
            {
                "total": await self._count(),
                "dead_letters": [letter_face(kept) for kept in page.letters],
                "next": _text_of(page.next),
            }
        )

    async def show_groups(self, request: web.Request) -> web.Response:
        """
        200 with how many there are by instance and kind of error, of the newest some thousand.

        Raises:
            RequestRefused: 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        query_of(request)
        groups = await self._letters.groups()
        return json_answer(
            {
                "total": await self._count(),
                "looked_at": groups.looked_at,
                "is_whole": groups.is_whole,
                "groups": [
                    {"instance": meant.instance, "error": meant.error, "count": count}
                    for meant, count in groups.counts
                ],
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """
        200 with one letter and its messages; with ``?texts=1`` also what they say.

        Raises:
            RequestRefused: 404 it is not there (any more); other 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        with_texts = flag_of(query_of(request, "texts"), "texts")
        letter_id = _id_in_path(request)
        kept = await self._letters.show(letter_id)
        if kept is None:
            raise RequestRefused(404, "not_found", GONE)
        if with_texts:
            log.info("dead_letter.read", letter=str(letter_id))
        return json_answer(whole_letter_face(kept, with_texts=with_texts))

    async def replay(self, request: web.Request) -> web.Response:
        """
        200 once the window waits for a handler again.

        Raises:
            RequestRefused: 404 it is not there (any more): also to a call whose answer was lost;
                409 there is no window in it that could be handed over.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        await fields_of(request, self._bodies)
        letter_id = _id_in_path(request)
        with telling_of_missing_rights():
            outcome = await self._letters.replay(letter_id)
        if outcome.code is ReplayCode.GONE:
            raise RequestRefused(404, "not_found", GONE)
        if outcome.code is ReplayCode.IMPOSSIBLE:
            raise RequestRefused(409, "not_replayable", f"not replayed: {outcome.obstacle}")
        log.info("dead_letter.replayed", letter=str(letter_id), entry=str(outcome.entry))
        return json_answer({"id": str(letter_id), "entry_id": str(outcome.entry)})

    async def replay_some(self, request: web.Request) -> web.Response:
        """
        200 with what became of some of all letters, or of an instance's, or of one kind of error.

        Who wants all sends ``until`` and ``next`` (as ``after``) back until ``next`` is null.
        ``until`` is the newest letter that there was at the first call, so what is given up anew
        meanwhile is not meant. All that there is of it stands in Redis: if this process dies, or
        somebody does the same elsewhere, every window is handed over once all the same.

        Raises:
            RequestRefused: 4xx, nothing has changed: 409 where Redis does not permit it.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        names = ("instance", "error", "until", "after")
        given = await fields_of(request, self._bodies, *names)
        after = placed(LetterId.parse, given, "after")
        until = placed(LetterId.parse, given, "until") or await self._letters.newest_id()
        page = ReplayPage(outcomes=(), next=None)
        if until is not None:
            with telling_of_missing_rights():
                page = await self._letters.replay_page(_meant_by(given), until, after)
        codes = [outcome.code for _, outcome in page.outcomes]
        replayed = codes.count(ReplayCode.REPLAYED)
        if replayed:
            log.info("dead_letters.replayed", count=replayed, instance=given.get("instance"))
        return json_answer(
            {
                "replayed": replayed,
                "not_replayable": codes.count(ReplayCode.IMPOSSIBLE),
                "total": await self._count(),
                "until": _text_of(until),
                "next": _text_of(page.next),
            }
        )

    async def discard(self, request: web.Request) -> web.Response:
        """
        200 once it is deleted, with every message in it.

        Raises:
            RequestRefused: 404 it is not there (any more): also to a call whose answer was lost.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        letter_id = _id_in_path(request)
        with telling_of_missing_rights():
            is_done = await self._letters.discard(letter_id)
        if not is_done:
            raise RequestRefused(404, "not_found", GONE)
        log.info("dead_letter.discarded", letter=str(letter_id))
        return json_answer({"id": str(letter_id)})

    async def _count(self) -> int:
        return (await count_kept(self._pipe, self._keys)).dead_letters


def _meant_by(given: dict[str, Any]) -> Meant:
    return Meant(instance=given.get("instance"), error=given.get("error"))


def _id_in_path(request: web.Request) -> LetterId:
    found = placed(LetterId.parse, request.match_info, "id")
    assert found is not None
    return found


def _text_of(letter_id: LetterId | None) -> str | None:
    return None if letter_id is None else str(letter_id)
