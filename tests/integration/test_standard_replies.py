"""A worker's answers through ``standard``: each text has one id, however often it is tried."""

from __future__ import annotations

from yarl import URL

from shared.instance_settings import InstanceSettings, Secret
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.waiting import eventually

TAKEN = Answer.json({}, status=202)


async def test_a_receiver_can_tell_a_text_that_it_has_already(redis_url: str, prefix: str) -> None:
    """
    Equal texts have ids of their own; one that is tried again keeps its id.

    The receiver may have taken it and failed only to say so: it sends nothing twice.
    """
    receiver_says = [TAKEN, Answer(status=500), TAKEN]
    twice = [Answer.reply("ok", "ok")]
    async with HandlerServer(receiver_says) as receiver, HandlerServer(twice) as handler:
        own = InstanceSettings(provider="standard", base_url=str(URL(receiver.url).origin()))
        own = own.model_copy(update={"token": Secret("planted-token")})
        async with (
            deployment(
                redis_url,
                prefix,
                instances={"hotel": own},
                handler=handler.url,
                mode="pass_through",
                retry_base_ms=100,
            ) as made,
            made.worker(),
        ):
            await made.say("guest-7", "hi", instance="hotel", reply_to="room/7")

            async def is_sent() -> bool:
                return any(row["what"] == "sent" for row in await made.journal())

            await eventually(is_sent, "the reply in the journal")
    first, failed, again = receiver.calls
    ids = [call.headers["webhook-id"] for call in receiver.calls]
    assert ids[0] != ids[1]
    assert ids[1] == ids[2]
    for call in (first, failed, again):
        said = call.json["data"]
        assert (said["text"], said["user"], said["reply_to"]) == ("ok", "guest-7", "room/7")
        assert said["message_id"] == call.headers["webhook-id"]
        assert len(said["answers"]) == 1
