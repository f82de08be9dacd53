"""``GET /api/v1/conversations/<instance>/<user>``: where a user's messages and replies are."""

from __future__ import annotations

from aiohttp import web

from ingest.answers import json_answer
from ingest.asked import flag_of
from shared.channel import channel_provider
from shared.connect import Pipe
from shared.errors import RequestRefused
from shared.keys import Keys, is_instance_name
from shared.settings import Settings
from shared.trace import Trace
from shared.trace.face import conversation_face, message_face
from shared.trace.whereabouts import State
from shared.wire import OutboxReply

PATH = "/api/v1/conversations/{instance:[^/]+}/{user:[^/]+}"
"""With patterns: aiohttp leaves braces out of what has none."""


class Conversations:
    """
    The status API. Access was checked before it is called.

    No text of a user is told unless it is asked for (``?texts=1``), only the replies' own, for as
    long as they are in the outbox.
    ``settings`` tell whether a reply has a channel; without them a kept one is ``waiting``.
    """

    def __init__(self, reads: Pipe, keys: Keys, settings: Settings | None = None) -> None:
        def has_channel(reply: OutboxReply) -> bool:
            return settings is not None and channel_provider(settings, reply) is not None

        self._trace = Trace(reads, keys, None if settings is None else has_channel, settings)

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; parts of the path are percent-decoded."""
        return [
            web.get(PATH, self.show_conversation),
            web.get(PATH + "/messages/{message_id:[^/]+}", self.show_message),
        ]

    async def show_conversation(self, request: web.Request) -> web.Response:
        """
        200 with ``messages``, ``replies``, ``dead`` and ``windows``, each newest last.

        Raises:
            RequestRefused: 404 when nothing is known of the conversation; other 4xx.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        instance, user = conversation_in_path(request)
        with_texts = flag_of(request.query, "texts")
        found = await self._trace.conversation(instance, user, with_texts=with_texts)
        if not found:
            raise RequestRefused(404, "not_found", "nothing is known of this conversation")
        return json_answer(conversation_face(instance, user, found))

    async def show_message(self, request: web.Request) -> web.Response:
        """
        200 with where the message is, and its reply as long as there is one.

        Raises:
            RequestRefused: 404 when the message is unknown, or forgotten.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        instance, user = conversation_in_path(request)
        message_id = request.match_info["message_id"]
        found = await self._trace.message(instance, user, message_id)
        if found.state is State.UNKNOWN:
            raise RequestRefused(404, "not_found", "nothing is known of this message")
        return json_answer(message_face(instance, user, found))


def conversation_in_path(request: web.Request) -> tuple[str, str]:
    """
    Instance and user.

    Raises:
        RequestRefused: 400.
    """
    instance, user = request.match_info["instance"], request.match_info["user"]
    if not is_instance_name(instance):
        raise RequestRefused(400, "invalid_field", "instance in the path is not a name")
    return instance, user
