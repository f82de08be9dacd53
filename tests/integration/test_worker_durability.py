"""At ``replicas:N`` no reply leaves before N replicas have its window's finish."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from consumer.outbox import OutboxStore, Progress, SendCode
from shared.connect import open_pipe
from shared.durability import Durability
from shared.errors import NotDurable
from shared.keys import Keys
from shared.model import Token
from shared.redis_binary import ServerBinary
from shared.wire import encode_reply
from tests.support.channel import SENT, channel_to
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.partition_scripts import US, partition_scripts, reply_to
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")

S1 = Token("us:1:send-1")


@pytest.fixture(params=["tested", "valkey"])
def replicated(
    request: pytest.FixtureRequest, redis_binary: ServerBinary
) -> Iterator[ReplicatedRedis]:
    """A primary with one replica: of the tested version, and of one with 7.2's WAIT."""
    binary = request.getfixturevalue("valkey") if request.param == "valkey" else redis_binary
    with ReplicatedRedis(binary) as made:
        yield made


async def test_a_reply_waits_for_the_replicas(replicated: ReplicatedRedis, prefix: str) -> None:
    """While the replica stands still nothing is sent; then once, without a takeover between."""
    replica = replicated.replicas[0]
    async with HandlerServer([SENT]) as provider, HandlerServer([Answer.reply("yes")]) as handler:
        shop = channel_to(provider)
        changes = {"handler": handler.url, "mode": "pass_through", "durability": "replicas:1"}
        async with (
            deployment(replicated.url, prefix, instances={"shop": shop}, **changes) as made,
            made.worker() as worker,
        ):
            await worker.owns(4)
            takeovers = worker.count("takeovers_total")
            replica.pause()
            await made.say("ann", "open?")
            sending = made.keys.of("shop", "ann").sending

            async def was_given_back_twice() -> bool:
                stores = [worker.worker._outbox_of(number) for number in worker.partitions]
                records = [record for one in stores for record in (await one.sending()).values()]
                seen.update(record.token for record in records)
                return len(seen) >= 3 and all(record.attempt <= 1 for record in records)

            seen: set[Token] = set()
            await eventually(was_given_back_twice, "three tries of the send", 20.0)
            assert await made.redis.exists(sending)
            assert provider.calls == []
            replica.resume()
            await provider.wait_for_calls(1)
            await eventually(lambda: worker.count("replies_sent_total", provider="evolution"), "it")
            assert len(provider.calls) == len(handler.calls) == 1
            assert worker.count("takeovers_total") == takeovers


async def test_a_send_whose_answer_was_lost_waits_as_well(
    replicated: ReplicatedRedis, prefix: str
) -> None:
    """The same token again, on a new connection, which has written nothing before."""
    p = Keys(prefix, 1).partition(0)
    async with partition_scripts(replicated.url, p) as scripts:
        epoch, window = await scripts.window_in_hand()
        await scripts.finish(window, outcome="answered", value=encode_reply(reply_to(window)))
        ((reply_id, _),) = await scripts.our_outbox.page(None)
        replicated.wait_until_in_step()
        replicated.replicas[0].pause()
        for _ in range(2):
            durability = Durability.parse("replicas:1")
            async with open_pipe(
                replicated.url, timeout_ms=600, name="send", durability=durability
            ) as pipe:
                outbox = OutboxStore(scripts.pipe, p, US, pipe)
                with pytest.raises(NotDurable) as caught:
                    await outbox.send(epoch, reply_id, None, S1)
                assert caught.value.answer.code is SendCode.SENDING
        assert await scripts.our_outbox.unsend(
            reply_id, S1, 0, progress=Progress(0, 0), counts=False
        )
        record = (await scripts.our_outbox.sending())[reply_id]
        assert record.attempt == 0
        replicated.replicas[0].resume()


@pytest.mark.parametrize("durability", ["memory", "fsync"])
async def test_a_reply_costs_nothing_more_elsewhere(
    redis_url: str, prefix: str, durability: str
) -> None:
    """Without replicas to wait for there is no connection of its own for sends."""
    async with deployment(redis_url, prefix, durability=durability) as made, made.worker() as one:
        assert one.worker._send_pipe is one.worker._pipe
