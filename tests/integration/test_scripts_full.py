"""A Redis at ``maxmemory``: append is refused whole, and the backlog and people are served."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from redis.exceptions import RedisError

from consumer.answers import FinishCode, StartCode
from consumer.outbox import Progress, SendCode, Watched
from shared.broker_errors import classify
from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import Keys, sent_hash
from shared.model import Memory, Message, Token
from shared.mutes import Mutes
from shared.steering_store import SteeringStore
from shared.unsent import DiscardCode, ReplyId, ResendCode, Unsent
from shared.wire import encode_reply
from tests.support.full_redis import fill, scripts_to_fill
from tests.support.partition_scripts import (
    ANN,
    AT_ONCE_MS,
    DUPLICATE,
    RETENTION_MS,
    SHOP,
    T1,
    T2,
    Scripts,
    ending,
    reply_to,
    request,
)
from tests.support.redis_server import RedisServer

S1 = Token("us:1:send-1")


@pytest.fixture
async def scripts(full_server: RedisServer, prefix: str) -> AsyncIterator[Scripts]:
    """One partition's scripts, before the memory runs out."""
    async with scripts_to_fill(full_server.url, Keys(prefix, 1).partition(0)) as found:
        yield found


async def test_append_is_refused_and_writes_nothing(scripts: Scripts) -> None:
    """The code says OOM, so that ingest can spool or answer 503; a known id is still known."""
    _, known = await scripts.append("A")
    await fill(scripts)
    before = await scripts.snapshot()
    for message in ({"message_id": "B"}, {"message_id": "A", "instance": "clinic"}):
        with pytest.raises(BrokerRefused) as caught:
            await scripts.append(**message)  # type: ignore[arg-type]
        assert caught.value.code == "OOM"
    assert await scripts.snapshot() == before
    assert await scripts.append("A") == (1, known)


async def test_a_full_redis_takes_nothing_behind_a_known_id(scripts: Scripts) -> None:
    """What is written for a duplicate opens the door to no other message of the call."""
    _, known = await scripts.append("A")
    await fill(scripts)
    before = await scripts.snapshot()
    messages = [
        Message(instance=SHOP, user=user, message_id=message_id, received_at=1)
        for user, message_id in ((ANN, "A"), (ANN, "B"), ("bob", "A"))
    ]
    first, *rest = await scripts.append_all(messages)
    assert first == (DUPLICATE, known)
    refusals = [classify(answer) for answer in rest if isinstance(answer, RedisError)]
    assert [one.code for one in refusals if isinstance(one, BrokerRefused)] == ["OOM"] * 2
    assert await scripts.snapshot() == before


async def test_a_full_redis_remembers_what_was_answered(scripts: Scripts) -> None:
    """The reply and the memory of it come together, or a model would not know what it said."""
    _, window = await scripts.window_in_hand()
    await fill(scripts)
    memory = Memory(item=b"hi", keep=10, keep_ms=60_000)
    code = await scripts.finish(window, outcome="answered", value=b"hi", memory=memory)
    assert code is FinishCode.FINISHED
    assert await scripts.us.history(window.conversation) == (b"hi",)
    assert await scripts.client.pttl(scripts.p.history(*window.conversation)) > 0


async def test_refused_append_can_be_repeated_when_there_is_memory_again(scripts: Scripts) -> None:
    """Nothing of the first try stands in its way."""
    await fill(scripts)
    with pytest.raises(BrokerRefused):
        await scripts.append("A")
    await scripts.client.config_set("maxmemory", 0)
    code, entry_id = await scripts.append("A")
    assert code == 0
    (got,) = await scripts.read(await scripts.acquire(), [(SHOP, 10)])
    assert [raw_id.decode() for raw_id, _ in got.entries] == [str(entry_id)]


async def test_full_redis_is_reported_by_its_code_inside_scripts(
    scripts: Scripts, full_server: RedisServer
) -> None:
    """Also through EVAL, for a script that Redis has not seen: 6.2 hides the code in the text."""
    pipe: Pipe = scripts.pipe
    await fill(scripts)
    with pytest.raises(BrokerRefused) as caught:
        await pipe.call("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "x")
    assert caught.value.code == "OOM"


async def test_backlog_drains(scripts: Scripts) -> None:
    """Acquire, peek, read, start, postpone, finish, send, sent: to an empty stream."""
    await scripts.append("A")
    await scripts.append("B", user="bob", instance="clinic")
    await fill(scripts)
    epoch = await scripts.acquire()
    assert await scripts.renew(epoch) == 1
    assert sorted((await scripts.us.peek()).unread) == ["clinic", SHOP]
    window = await scripts.read_window(epoch)
    other = await scripts.read_window(epoch, "clinic")
    answers = await scripts.us.start(epoch, [request(window, T1), request(other, T2)])
    assert {answer.code for answer in answers} == {StartCode.STARTED}
    assert await scripts.us.postpone(other.conversation, T2, 0, counts=True)
    assert await scripts.us.postpone(other.conversation, T2, 0, counts=True)
    (again,) = await scripts.us.start(epoch, [request(other, Token("us:1:9"), replaces=T2)])
    assert again.attempt == 2
    assert await scripts.finish(other, Token("us:1:9"), "dead", b"{}") is FinishCode.FINISHED
    reply = reply_to(window)
    code = await scripts.finish(window, T1, "answered", encode_reply(reply))
    assert code is FinishCode.FINISHED
    ((reply_id, _),) = await scripts.our_outbox.page(None)
    watched = Watched((SHOP, ANN), 60_000)
    begun = await scripts.our_outbox.send(epoch, reply_id, None, S1, watched)
    assert begun.code is SendCode.SENDING
    assert await scripts.our_outbox.advance(reply_id, S1, Progress(1, 0))
    assert await scripts.our_outbox.unsend(reply_id, S1, 0, held="", progress=Progress(0, 0))
    again_code = (await scripts.our_outbox.send(epoch, reply_id, S1, Token("us:1:send-2"))).code
    assert again_code is SendCode.SENDING
    token = Token("us:1:send-2")
    assert await scripts.our_outbox.note_sent((SHOP, ANN), token, ["A"], 60_000, unsure=True)
    assert await scripts.our_outbox.sent(reply_id, reply, token, "sent", RETENTION_MS)
    client, p = scripts.client, scripts.p
    assert await client.xlen(p.stream(SHOP)) == await client.xlen(p.stream("clinic")) == 0
    assert not await client.exists(p.outbox) or await client.xlen(p.outbox) == 0
    assert (await client.xlen(p.dead), await client.xlen(p.journal)) == (1, 3)
    for told, one in (("se", window), ("de", other)):
        endings = [
            await client.hget(key, str(one.entries[0].id)) for key in p.both_seen(*one.conversation)
        ]
        assert [found[:2].decode() for found in endings if found] == [told]
    assert not await client.exists(p.running, p.sending)
    assert await scripts.us.remove_stream(SHOP, AT_ONCE_MS)
    assert await scripts.release(epoch) == 1


async def test_echoes_are_told_apart(scripts: Scripts) -> None:
    """Ours are known as ours, and a person mutes."""
    await fill(scripts)
    await scripts.our_outbox.note_sent((SHOP, ANN), S1, ["A"], 60_000, unsure=False)
    human = scripts.p.human(SHOP, ANN)
    keys: list[str] = []
    args: list[bytes | int] = [32]
    for sent_id in ("A", "B"):
        hashed = sent_hash(SHOP, ANN, sent_id)
        keys += (human, *scripts.p.both_sent(hashed))
        args += (hashed, 60_000)
    assert await scripts.run("echo", tuple(keys), *args) == [0, 1]
    assert await scripts.client.hlen(human) == 1


async def test_a_person_takes_a_conversation_over(scripts: Scripts, prefix: str) -> None:
    """Muted and unmuted as ever, also where a person's message is to count no more."""
    epoch, window = await scripts.closed_window()
    human, mutes = scripts.p.human(SHOP, ANN), Mutes(scripts.pipe, Keys(prefix, 1))
    await scripts.client.hset(human, sent_hash(SHOP, ANN, "A"), "5")
    await fill(scripts)
    await mutes.mute(SHOP, ANN, 60_000)
    (answer,) = await scripts.us.start(epoch, [request(window, T1)])
    assert answer.is_muted
    handing_over = structs.replace(ending(window), mute_ms=90_000)
    assert await scripts.us.finish([handing_over], RETENTION_MS) == [FinishCode.FINISHED]
    assert await scripts.client.zcard(scripts.p.muted) == 1
    await mutes.unmute(SHOP, ANN)
    assert not await scripts.client.exists(scripts.p.muted)
    assert await scripts.client.hexists(human, "unmuted")


async def test_instances_are_steered(scripts: Scripts, prefix: str) -> None:
    """The emergency switch and the pause work just then, and the workers are woken."""
    keys = Keys(prefix, 1)
    store = SteeringStore(scripts.pipe, keys)
    assert await store.change(SHOP, {"paused": True, "mode": "pass_through"}) == 2
    assert (await store.read()).paused() == [SHOP]
    assert await scripts.client.xlen(keys.bell) == 1
    assert await store.take_back(SHOP) == 2
    assert (await store.read()).by_instance == {}


async def test_a_person_decides_about_held_replies(scripts: Scripts, prefix: str) -> None:
    """One is sent after all and held again, and then thrown away."""
    epoch, window = await scripts.window_in_hand()
    await scripts.finish(window, outcome="answered", value=encode_reply(reply_to(window)))
    ((entry, _),) = await scripts.our_outbox.page(None)
    await scripts.our_outbox.send(epoch, entry, None, S1)
    await scripts.our_outbox.unsend(entry, S1, 0, held="loop limit")
    await fill(scripts)
    unsent, reply_id = Unsent(scripts.pipe, Keys(prefix, 1)), ReplyId(entry, 0)
    assert await unsent.undecided_ids() == [reply_id]
    assert await unsent.resend(reply_id) is ResendCode.RELEASED
    assert await unsent.discard(reply_id) is DiscardCode.DISCARDED
    assert await scripts.client.xlen(scripts.p.outbox) == 0


async def test_what_was_kept_for_a_time_goes(scripts: Scripts) -> None:
    """It is what makes room."""
    journal, muted = scripts.p.journal, scripts.p.muted
    await scripts.client.xadd(journal, {"what": "silent"}, id="1-1")
    await scripts.client.zadd(muted, {ANN: 1})
    await fill(scripts)
    assert await scripts.run("trim", (journal, muted), RETENTION_MS) == [1, 1]
    assert not await scripts.client.xlen(journal)
    assert not await scripts.client.exists(muted)
