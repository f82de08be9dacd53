"""append, replay, peek: how entries come into a stream."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError

from shared.errors import BrokerRefused
from shared.keys import GROUP
from shared.model import EntryId, Message
from shared.wire import DeadLetter, decode_entry, encode_dead_letter, encode_replay
from tests.support.partition_scripts import (
    ANN,
    APPENDED,
    AT_ONCE_MS,
    DEDUPE_MS,
    DUPLICATE,
    SHOP,
    Scripts,
)
from tests.support.waiting import eventually


async def test_first_append_makes_stream_group_index_and_rings(scripts: Scripts) -> None:
    """From an empty partition: one entry, its group at 0, the instance known and ready, a ring."""
    assert await scripts.snapshot() == {}
    code, entry_id = await scripts.append("A")
    assert code == APPENDED
    client, p = scripts.client, scripts.p
    ((raw_id, values),) = await client.xrange(p.stream(SHOP))
    assert raw_id.decode() == str(entry_id)
    assert set(values) == {b"m"}
    (group,) = await client.xinfo_groups(p.stream(SHOP))
    assert (group["name"], group["last-delivered-id"]) == (GROUP, b"0-0")
    assert await client.smembers(p.streams) == {SHOP.encode()}
    assert await client.zrange(p.ready, 0, -1) == [SHOP.encode()]
    assert await client.xlen(p.bell) == 1


async def test_append_rings_only_when_nothing_was_ready(scripts: Scripts) -> None:
    """One ring wakes the owner for all that comes until it has read."""
    await scripts.append("A")
    first = await scripts.bell()
    await scripts.append("B")
    await scripts.append("C", instance="clinic")
    assert await scripts.bell() == first
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10), ("clinic", 10)])
    await scripts.append("D")
    assert await scripts.bell() > first
    assert await scripts.client.xlen(scripts.p.bell) == 1


async def test_who_is_ready_first_stays_first(scripts: Scripts) -> None:
    """What comes then does not send an instance behind the others that wait to be read."""
    await scripts.append("A")
    await scripts.client.zadd(scripts.p.ready, {SHOP: 1})
    await scripts.append("B")
    assert await scripts.client.zscore(scripts.p.ready, SHOP) == 1


async def test_known_message_id_is_a_duplicate_and_writes_nothing(scripts: Scripts) -> None:
    """A repeated call answers with the first entry's id, also after the entry was read."""
    _, entry_id = await scripts.append("A")
    await scripts.read(await scripts.acquire(), [(SHOP, 10)])
    before = await scripts.snapshot()
    assert await scripts.append("A") == (DUPLICATE, entry_id)
    assert await scripts.snapshot() == before


async def test_same_id_of_another_user_is_another_message(scripts: Scripts) -> None:
    """Dedupe compares within one conversation."""
    codes = [
        (await scripts.append("A", user=user, instance=instance))[0]
        for user, instance in (("ann", "shop"), ("bob", "shop"), ("ann", "clinic"))
    ]
    assert codes == [APPENDED] * 3


def messages_of(*names: tuple[str, str, str]) -> list[Message]:
    """Messages by instance, user and id."""
    return [
        Message(instance=instance, user=user, message_id=message_id, received_at=1)
        for instance, user, message_id in names
    ]


async def test_one_call_does_what_one_after_the_other_would(scripts: Scripts) -> None:
    """Entries in the order given, each id once, every stream with group and index, one ring."""
    names = [
        ("shop", "ann", "A"),
        ("clinic", "ann", "A"),
        ("shop", "bob", "A"),
        ("shop", "ann", "A"),
        ("shop", "ann", "B"),
    ]
    answers = await scripts.append_all(messages_of(*names))
    answered = [answer for answer in answers if isinstance(answer, tuple)]
    assert [code for code, _ in answered] == [0, 0, 0, 1, 0]
    assert answered[3][1] == answered[0][1]
    client, p = scripts.client, scripts.p
    shop = [row[0].decode() for row in await client.xrange(p.stream("shop"))]
    assert shop == [str(answered[at][1]) for at in (0, 2, 4)]
    for instance in ("shop", "clinic"):
        (group,) = await client.xinfo_groups(p.stream(instance))
        assert (group["name"], group["last-delivered-id"]) == (GROUP, b"0-0")
    assert await client.smembers(p.streams) == {b"shop", b"clinic"}
    assert set(await client.zrange(p.ready, 0, -1)) == {b"shop", b"clinic"}
    assert (await scripts.bell()).endswith("-0"), "a second one in this ms would be -1"
    for user, count in (("ann", 2), ("bob", 1)):
        hashes = [await client.hlen(key) for key in p.both_seen("shop", user)]
        assert sum(hashes) == count
    for key in await client.keys(f"{p.base}:seen:*"):
        assert await client.pttl(key) > 0, "what is remembered is forgotten some day"


async def test_a_refused_message_holds_up_its_conversation_alone(scripts: Scripts) -> None:
    """Nothing overtakes it; who stands beside it in the call is appended and remembered."""
    for key in scripts.p.both_seen("shop", "bob"):
        await scripts.client.set(key, "in the way")
    names = [("shop", user, number) for number in "AB" for user in ("ann", "bob", "eve")]
    answers = await scripts.append_all(messages_of(*names))
    refused = [at for at, answer in enumerate(answers) if isinstance(answer, RedisError)]
    assert [names[at] for at in refused] == [("shop", "bob", "A"), ("shop", "bob", "B")]
    assert await scripts.client.xlen(scripts.p.stream("shop")) == 4
    again = await scripts.append_all(messages_of(*names))
    assert [answer for at, answer in enumerate(again) if at not in refused] == [
        (DUPLICATE, answer[1]) for answer in answers if isinstance(answer, tuple)
    ]


async def test_what_follows_a_refused_message_is_not_tried(scripts: Scripts) -> None:
    """Also where it would be found: nothing that follows is answered before it."""
    await scripts.append("known")
    p = scripts.p
    (key,) = [key for key in p.both_seen(SHOP, ANN) if not await scripts.client.exists(key)]
    await scripts.client.set(key, "in the way")
    answers = await scripts.append_all(
        messages_of((SHOP, ANN, "new"), (SHOP, ANN, "known"), (SHOP, "bob", "new"))
    )
    assert [isinstance(answer, RedisError) for answer in answers] == [True, True, False]


async def test_many_at_once_of_one_id_are_one_entry(scripts: Scripts) -> None:
    """Whichever comes first is appended, the others learn its id."""
    answers = await asyncio.gather(*(scripts.append("A") for _ in range(20)))
    assert sorted(code for code, _ in answers) == [APPENDED] + [DUPLICATE] * 19
    assert len({entry_id for _, entry_id in answers}) == 1


async def test_id_is_remembered_for_one_to_two_generations(scripts: Scripts) -> None:
    """Across the boundary of generations it is still known; two later it is a new message."""
    dedupe_ms = 150
    _, first = await scripts.append("A", dedupe_ms=dedupe_ms)
    generation = first.ms // dedupe_ms

    async def redis_ms() -> int:
        seconds, micros = await scripts.client.time()
        return int(seconds * 1000 + micros // 1000)

    await eventually(
        lambda: _is_past(redis_ms, (generation + 1) * dedupe_ms), "the next generation"
    )
    code, known = await scripts.append("A", dedupe_ms=dedupe_ms)
    if await redis_ms() < (generation + 2) * dedupe_ms:  # else the machine was too slow to ask
        assert (code, known) == (DUPLICATE, first)
        assert (await scripts.append("B", dedupe_ms=dedupe_ms))[0] == APPENDED
    last = known.ms // dedupe_ms  # of the first entry, or of one that came too late to be known
    await eventually(lambda: _is_past(redis_ms, (last + 2) * dedupe_ms + 1), "the generation after")
    code, again = await scripts.append("A", dedupe_ms=dedupe_ms)
    assert code == APPENDED
    assert again > known


async def test_seen_keys_expire_with_their_generation(scripts: Scripts) -> None:
    """Nothing is remembered for longer than two generations; what comes again changes nothing."""
    for _ in range(2):
        _, entry_id = await scripts.append("A")
        seen = [scripts.p.seen(number, SHOP, ANN) for number in (0, 1)]
        ages = [await scripts.client.pttl(key) for key in seen]
        generation = entry_id.ms // DEDUPE_MS
        assert ages[(generation + 1) % 2] == -2
        end_ms = (generation + 2) * DEDUPE_MS
        assert ages[generation % 2] == pytest.approx(end_ms - entry_id.ms, abs=5000)


async def test_refused_xadd_leaves_nothing(scripts: Scripts) -> None:
    """XADD comes first: whatever it is refused for, no id is remembered."""
    await scripts.client.set(scripts.p.stream(SHOP), "in the way")
    before = await scripts.snapshot()
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await scripts.append("A")
    assert await scripts.snapshot() == before


async def test_peek_tells_time_unread_streams_and_last_reply(scripts: Scripts) -> None:
    """The time is Redis's, and not later than any entry that a named stream may hold."""
    empty = await scripts.us.peek()
    assert (empty.unread, empty.last_reply) == ((), b"")
    _, entry_id = await scripts.append("A")
    await scripts.client.xadd(scripts.p.outbox, {"m": "x"}, id="7-1")
    peek = await scripts.us.peek()
    assert (peek.unread, peek.last_reply) == ((SHOP,), b"7-1")
    assert empty.now_ms <= entry_id.ms <= peek.now_ms


async def test_replay_turns_a_dead_letter_into_one_entry(scripts: Scripts) -> None:
    """The letter is gone, the entry carries the window with its old id, and the bell has rung."""
    epoch, window = await scripts.window_in_hand("A", "B")
    letter = DeadLetter(window=window, error="no", attempts=3, instance=SHOP)
    await scripts.finish(window, outcome="dead", value=encode_dead_letter(letter))
    ((letter_id, _),) = await scripts.client.xrange(scripts.p.dead)
    ring = await scripts.bell()

    async def replay() -> bytes | None:
        p = scripts.p
        value = encode_replay(window)
        keys = (p.dead, p.stream(SHOP), p.streams, p.ready, p.bell)
        entry_id: bytes | None = await scripts.run("replay", keys, letter_id, SHOP, value, GROUP)
        return entry_id

    entry_id = await replay()
    assert entry_id is not None
    assert await scripts.client.xlen(scripts.p.dead) == 0
    assert await scripts.bell() > ring
    assert await replay() is None, "a lost answer must not hand it over twice"
    (got,) = await scripts.read(epoch, [(SHOP, 10)])
    ((raw_id, values),) = got.entries
    assert raw_id == entry_id
    entry = decode_entry(SHOP, raw_id, values)
    assert entry.replayed is not None
    members = [(e.id, e.message) for e in window.entries]
    assert entry.replayed.id == window.id
    assert [(e.id, e.message) for e in entry.replayed.entries] == members


async def test_replay_recreates_a_stream_that_was_removed(scripts: Scripts) -> None:
    """Long after its stream was deleted, a dead letter still comes back."""
    _, window = await scripts.window_in_hand()
    await scripts.finish(window, outcome="dead", value=b"{}")
    assert await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)
    ((letter_id, _),) = await scripts.client.xrange(scripts.p.dead)
    p = scripts.p
    keys = (p.dead, p.stream(SHOP), p.streams, p.ready, p.bell)
    assert await scripts.run("replay", keys, letter_id, SHOP, b"{}", GROUP)
    (group,) = await scripts.client.xinfo_groups(p.stream(SHOP))
    assert (group["name"], group["last-delivered-id"]) == (GROUP, b"0-0")
    assert await scripts.us.streams() == [SHOP]
    assert (await scripts.us.peek()).unread == (SHOP,)


async def test_replay_keeps_a_dead_letter_that_becomes_no_entry(scripts: Scripts) -> None:
    """The entry comes first: when that is refused, the letter stays."""
    _, window = await scripts.window_in_hand()
    await scripts.finish(window, outcome="dead", value=b"{}")
    p = scripts.p
    ((letter_id, _),) = await scripts.client.xrange(p.dead)
    await scripts.client.delete(p.stream(SHOP))
    await scripts.client.set(p.stream(SHOP), "in the way")
    before = await scripts.snapshot()
    keys = (p.dead, p.stream(SHOP), p.streams, p.ready, p.bell)
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await scripts.run("replay", keys, letter_id, SHOP, b"{}", GROUP)
    assert await scripts.snapshot() == before


async def _is_past(clock: object, limit_ms: int) -> bool:
    assert callable(clock)
    return bool(await clock() >= limit_ms)


def test_entry_ids_order_as_the_stream_does() -> None:
    """By number, not by text: 9-10 comes after 9-9."""
    assert EntryId.parse(b"9-9") < EntryId.parse("9-10") < EntryId.parse("10-0")
