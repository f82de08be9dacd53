"""A worker's answers through ``standard``: each text has one id, however often it is tried."""

from __future__ import annotations

from pathlib import Path

from yarl import URL

from shared.instance_settings import InstanceSettings, Secret
from shared.keys import Keys
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import INSTANCE, spooling
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


async def test_a_text_keeps_its_id_from_an_outage_into_the_outbox(
    redis_binary: ServerBinary, keys: Keys, tmp_path: Path
) -> None:
    """
    What a process could not send while Redis was away a worker sends under the same id.

    Under one that a text before it had, a receiver would take it for that one, and drop it.
    """
    options = {"appendonly": "yes", "appendfsync": "always"}
    receiver_says, said = [TAKEN, Answer(status=500), TAKEN], [Answer.reply("one", "two", "three")]
    async with HandlerServer(receiver_says) as receiver, HandlerServer(said) as handler:
        own = InstanceSettings(
            provider="standard", base_url=str(URL(receiver.url).origin()), token=Secret("t")
        )
        settings = Settings(
            handler=handler.url,
            instances={INSTANCE: own},
            prefix=keys.prefix,
            partitions=keys.partitions,
        )
        with RedisServer(redis_binary, options=options) as server:
            async with spooling(server.url, keys, tmp_path, direct=settings) as made:
                server.kill()
                await made.send(1)
                await receiver.wait_for_calls(2)
                server.start()
                await made.online()
            fields = settings.model_dump(exclude={"redis_url"}, exclude_unset=True)
            async with deployment(server.url, **fields) as shop, shop.worker():
                await receiver.wait_for_calls(4)
    texts = [call.json["data"]["text"] for call in receiver.calls]
    first, failed, again, last = [call.headers["webhook-id"] for call in receiver.calls]
    assert texts == ["one", "two", "two", "three"]
    assert failed == again
    assert len({first, failed, last}) == 3
