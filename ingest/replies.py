"""
``/api/v1/replies``: answers that have not left, for the person who decides about them.

The same as ``inturn outbox``. No list tells what was answered or to whom; one reply tells its user,
and its texts only when asked for them.
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
from shared.channel import channel_provider
from shared.errors import RequestRefused
from shared.keys import Keys
from shared.pipe import Pipe
from shared.reply_face import reply_face, whole_reply_face
from shared.settings import Settings
from shared.trace.whereabouts import ReplyState
from shared.unsent import (
    DISCARD_SAYS,
    GONE,
    RESEND_SAYS,
    DiscardCode,
    ReplyId,
    ResendCode,
    Unsent,
    UnsentReply,
)

PATH = "/api/v1/replies"
ONE = f"{PATH}/{{id:{PLACED_ID}}}"

log: FilteringBoundLogger = structlog.get_logger()


class RepliesApi:
    """The endpoints. Access was checked before they are called; each may be called again."""

    def __init__(self, pipe: Pipe, keys: Keys, settings: Settings) -> None:
        self._unsent = Unsent(pipe, keys)
        self._settings = settings
        self._bodies = BodyReader()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [
            web.get(PATH, self.show_list),
            web.post(f"{PATH}/resend", self.resend_some),
            web.get(ONE, self.show),
            web.post(f"{ONE}/resend", self.resend),
            web.delete(ONE, self.discard),
        ]

    async def show_list(self, request: web.Request) -> web.Response:
        """
        200 with the newest that wait for a person, or with ``?all=1`` that have not left.

        Raises:
            RequestRefused: 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        query = query_of(request, "limit", "before", "all")
        before = placed(ReplyId.parse, query, "before")
        page = await self._unsent.page(limit_of(query), before, every=flag_of(query, "all"))
        return json_answer(
            {
                "undecided": page.undecided,
                "replies": [self._with_state(reply_face(one), one) for one in page.replies],
                "next": None if page.next is None else str(page.next),
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """
        200 with one reply; with ``?texts=1`` also what it says.

        Raises:
            RequestRefused: 404 it is not there (any more); other 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        with_texts = flag_of(query_of(request, "texts"), "texts")
        reply_id = _id_in_path(request)
        found = await self._unsent.show(reply_id)
        if found is None:
            raise RequestRefused(404, "not_found", GONE)
        if with_texts:
            log.info("reply.read", reply=str(reply_id))
        return json_answer(self._with_state(whole_reply_face(found, with_texts=with_texts), found))

    async def resend(self, request: web.Request) -> web.Response:
        """
        200 once it is to be sent after all.

        Raises:
            RequestRefused: 404 it is not there (any more); 409 it waits for nobody: also to a
                call whose answer was lost.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        await fields_of(request, self._bodies)
        reply_id = _id_in_path(request)
        code = await self._unsent.resend(reply_id)
        if code is not ResendCode.RELEASED:
            raise _refused(gone=code is ResendCode.GONE, says=RESEND_SAYS[code])
        log.info("reply.released", reply=str(reply_id))
        return json_answer({"id": str(reply_id)})

    async def resend_some(self, request: web.Request) -> web.Response:
        """
        200 with how many are to be sent now, of those that wait for a person.

        Who wants all sends ``until`` and ``next`` (as ``after``) back until ``next`` is null.

        Raises:
            RequestRefused: 4xx, nothing has changed.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        given = await fields_of(request, self._bodies, "until", "after")
        until = placed(ReplyId.parse, given, "until")
        page = await self._unsent.resend_page(until, placed(ReplyId.parse, given, "after"))
        released = page.codes.count(ResendCode.RELEASED)
        if released:
            log.info("replies.released", count=released)
        return json_answer(
            {
                "released": released,
                "until": None if page.until is None else str(page.until),
                "next": None if page.next is None else str(page.next),
            }
        )

    async def discard(self, request: web.Request) -> web.Response:
        """
        200 once it is deleted: its user is not answered.

        Raises:
            RequestRefused: 404 it is not there (any more): also to a call whose answer was lost;
                409 a worker is sending it.
            BrokerUnavailable, BrokerRefused: answer 503; send it again.
        """
        reply_id = _id_in_path(request)
        with telling_of_missing_rights():
            code = await self._unsent.discard(reply_id)
        if code is not DiscardCode.DISCARDED:
            raise _refused(gone=code is DiscardCode.GONE, says=DISCARD_SAYS[code])
        log.info("reply.discarded", reply=str(reply_id))
        return json_answer({"id": str(reply_id)})

    def _with_state(self, face: dict[str, Any], found: UnsentReply) -> dict[str, Any]:
        """One that waits and has no channel is kept to be read."""
        reply = found.reply
        if found.state is not ReplyState.WAITING or reply is None:
            return face
        has_channel = channel_provider(self._settings, reply) is not None
        return face if has_channel else {**face, "state": ReplyState.KEPT.value}


def _refused(*, gone: bool, says: str) -> RequestRefused:
    return RequestRefused(404, "not_found", says) if gone else RequestRefused(409, "not_now", says)


def _id_in_path(request: web.Request) -> ReplyId:
    found = placed(ReplyId.parse, request.match_info, "id")
    assert found is not None
    return found
