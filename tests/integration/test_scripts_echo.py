"""note_sent and echo: what we sent is known as ours, whatever overtakes whatever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from consumer.outbox import SendCode, Watched
from shared.keys import sent_hash
from shared.model import EntryId, Token
from shared.sent_ids import DOUBT_MS, SPAN_MS, keep_ms, note_sent
from shared.wire import encode_reply
from tests.support.partition_scripts import ANN, SHOP, Scripts, reply_to

S1, S2 = Token("us:1:send-1"), Token("us:1:send-2")
WHO = (SHOP, ANN)
OURS, HUMAN = 0, 1
MUTE_MS = 600_000
CAUSES_MAX = 4


async def echo(scripts: Scripts, *ids: str, user: str = ANN, mute_ms: int = MUTE_MS) -> list[int]:
    """What echoes of these ids are."""
    keys: list[str] = []
    args: list[Any] = [CAUSES_MAX]
    for sent_id in ids:
        hashed = sent_hash(SHOP, user, sent_id)
        keys += (scripts.p.human(SHOP, user), *scripts.p.both_sent(hashed))
        args += (hashed, keep_ms(mute_ms))
    return list(await scripts.run("echo", tuple(keys), *args))


async def note(
    scripts: Scripts, ids: Sequence[str], token: Token | str = S1, *, unsure: bool = False
) -> None:
    """A send under ``token`` has ended."""
    await note_sent(scripts.pipe, scripts.p, WHO, ids, token=token, mute_ms=MUTE_MS, unsure=unsure)


async def causes(scripts: Scripts) -> set[str]:
    """The persons' messages that stand there, by id, of those that the tests use."""
    known = await scripts.client.hgetall(scripts.p.human(*WHO))
    named = {sent_hash(*WHO, name): name for name in "ABCDEFGH"}
    return {named[field] for field in known if field in named}


async def begin_send(scripts: Scripts, token: Token = S1) -> tuple[int, EntryId]:
    """A reply on its way to the provider: epoch and reply id."""
    epoch, window = await scripts.window_in_hand()
    reply = reply_to(window)
    await scripts.finish(window, outcome="answered", value=encode_reply(reply))
    ((reply_id, _),) = await scripts.our_outbox.page(None)
    watched = Watched(WHO, MUTE_MS)
    begun = await scripts.our_outbox.send(epoch, reply_id, None, token, watched)
    assert begun.code is SendCode.SENDING
    return epoch, reply_id


async def test_an_id_that_was_sent_is_ours(scripts: Scripts) -> None:
    """For that user; the same id to another one is not."""
    await note(scripts, ["A", "B"])
    assert await echo(scripts, "B", "C", "A") == [OURS, HUMAN, OURS]
    assert await echo(scripts, "A", user="bob") == [HUMAN]
    assert await causes(scripts) == {"C"}


async def test_sent_ids_are_forgotten(scripts: Scripts) -> None:
    """Within two days, and not within one."""
    await note(scripts, ["A"])
    ttls = [await scripts.client.pttl(key) for key in scripts.p.both_sent(sent_hash(*WHO, "A"))]
    (ttl,) = [found for found in ttls if found != -2]
    assert SPAN_MS < ttl <= 2 * SPAN_MS


async def test_both_generations_are_asked(scripts: Scripts) -> None:
    """An id of yesterday is known today."""
    hashed = sent_hash(*WHO, "A")
    for key in scripts.p.both_sent(hashed):
        await scripts.client.delete(*scripts.p.both_sent(hashed))
        await scripts.client.hset(key, hashed, b"")
        assert await echo(scripts, "A") == [OURS]


async def test_where_nobody_asks_nothing_is_written(scripts: Scripts) -> None:
    """``ON_HUMAN=ignore``: a person's message is only counted."""
    before = await scripts.snapshot()
    assert await echo(scripts, "A", mute_ms=0) == [HUMAN]
    assert await scripts.snapshot() == before


async def test_a_second_webhook_of_the_same_message_changes_no_time(scripts: Scripts) -> None:
    """A provider that sends again does not mute for longer."""
    assert await echo(scripts, "A") == [HUMAN]
    field = sent_hash(*WHO, "A")
    await scripts.client.hset(scripts.p.human(*WHO), field, "5")
    assert await echo(scripts, "A") == [HUMAN]
    assert await scripts.client.hget(scripts.p.human(*WHO), field) == b"5"


async def test_what_is_known_of_persons_expires(scripts: Scripts) -> None:
    """Some time after the mute is over."""
    await echo(scripts, "A")
    ttl = await scripts.client.pttl(scripts.p.human(*WHO))
    assert MUTE_MS < ttl <= keep_ms(MUTE_MS)


async def test_of_many_messages_the_newest_stay(scripts: Scripts) -> None:
    """A person who writes all day costs no more than one who writes a little."""
    for at, sent_id in enumerate("ABCDEFG"):
        await echo(scripts, sent_id)
        key = scripts.p.human(*WHO)
        await scripts.client.hset(key, sent_hash(*WHO, sent_id), str(1000 + at))
    assert await causes(scripts) == {"D", "E", "F", "G"}


async def test_an_echo_that_overtakes_the_providers_answer_is_taken_back(scripts: Scripts) -> None:
    """It is unknown when it comes; once the send has ended it is ours, and a person's stays."""
    await begin_send(scripts)
    assert await echo(scripts, "A", "B") == [HUMAN, HUMAN]
    await note(scripts, ["A"])
    assert await causes(scripts) == {"B"}
    assert await echo(scripts, "A") == [OURS]
    known = await scripts.client.hgetall(scripts.p.human(*WHO))
    assert {b"token", b"since", b"unsure", b"doubt"}.isdisjoint(known)


async def test_a_lost_answer_to_note_sent_does_no_harm(scripts: Scripts) -> None:
    """Again is the same."""
    await begin_send(scripts)
    await echo(scripts, "A", "B")
    await note(scripts, ["A"])
    before = await scripts.snapshot()
    await note(scripts, ["A"])
    assert await scripts.snapshot() == before


async def test_after_a_send_without_an_answer_echoes_mute_nobody(scripts: Scripts) -> None:
    """Neither those that came meanwhile nor those of the next minute; earlier ones still do."""
    await echo(scripts, "A")
    await scripts.client.hset(scripts.p.human(*WHO), sent_hash(*WHO, "A"), "5")
    await begin_send(scripts)
    await echo(scripts, "B")
    await note(scripts, [], unsure=True)
    assert await causes(scripts) == {"A"}
    assert await echo(scripts, "C") == [OURS]
    assert await causes(scripts) == {"A"}
    await scripts.client.hset(scripts.p.human(*WHO), "doubt", "5")
    assert await echo(scripts, "D") == [HUMAN]
    assert DOUBT_MS == 60_000


async def test_a_send_that_died_with_its_worker_is_in_doubt(scripts: Scripts) -> None:
    """The next attempt knows its own id only: what else came since the first is nobody's."""
    epoch, reply_id = await begin_send(scripts)
    await echo(scripts, "A")
    watched = Watched(WHO, MUTE_MS)
    begun = await scripts.our_outbox.send(epoch, reply_id, S1, S2, watched)
    assert begun.code is SendCode.SENDING
    assert await causes(scripts) == {"A"}
    await note(scripts, ["B"], S2)
    assert await causes(scripts) == set()
    assert await echo(scripts, "C") == [OURS]
    known = await scripts.client.hgetall(scripts.p.human(*WHO))
    assert known.keys() == {b"doubt"}, "the next send is in no doubt"


async def test_a_send_that_was_taken_over_cannot_end_its_successor(scripts: Scripts) -> None:
    """It wakes up late: its id is known from then, and the other one is still on its way."""
    epoch, reply_id = await begin_send(scripts)
    await scripts.our_outbox.send(epoch, reply_id, S1, S2, Watched(WHO, MUTE_MS))
    await echo(scripts, "A", "B")
    await note(scripts, ["A"], S1)
    known = await scripts.client.hgetall(scripts.p.human(*WHO))
    assert known[b"token"] == S2.encode()
    assert await causes(scripts) == {"B"}


async def test_a_repeated_begin_is_no_second_attempt(scripts: Scripts) -> None:
    """The answer to ``send`` was lost: nothing is in doubt for that."""
    epoch, reply_id = await begin_send(scripts)
    await scripts.our_outbox.send(epoch, reply_id, None, S1, Watched(WHO, MUTE_MS))
    assert not await scripts.client.hexists(scripts.p.human(*WHO), "unsure")


@pytest.mark.parametrize("token", ["", S2])
async def test_ids_are_noted_without_a_send(scripts: Scripts, token: str) -> None:
    """Those of replies that left while Redis was away: an echo that came first is taken back."""
    await echo(scripts, "A", "B")
    await note(scripts, ["A"], token)
    assert await causes(scripts) == {"B"}
    assert await echo(scripts, "A") == [OURS]


async def test_an_id_that_is_noted_without_a_send_shortens_no_mute(scripts: Scripts) -> None:
    """Who notes what was sent while Redis was away does not know for how long persons mute."""
    await echo(scripts, "A", mute_ms=7 * SPAN_MS)
    await note_sent(scripts.pipe, scripts.p, WHO, ["B"])
    left_ms = await scripts.client.pttl(scripts.p.human(*WHO))
    assert left_ms > 7 * SPAN_MS
    assert await causes(scripts) == {"A"}


async def test_conversations_without_persons_cost_an_id_little(scripts: Scripts) -> None:
    """A thousand users with one sent text each take at most 100 bytes of an id."""
    keys: dict[str, int] = {}
    for number in range(1000):
        whose = (SHOP, f"user-{number}")
        await note_sent(scripts.pipe, scripts.p, whose, [f"id-{number}"])
    async for key in scripts.client.scan_iter(match=f"{scripts.p.base}:*"):
        keys[key.decode()] = await scripts.client.memory_usage(key)
    assert len(keys) <= 512
    assert sum(keys.values()) < 100 * 1000
