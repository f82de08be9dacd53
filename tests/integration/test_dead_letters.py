"""Dead letters in a real Redis: listed, shown, replayed once, discarded."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared import kept_letters
from shared.connect import Pipe
from shared.dead_letters import DeadLetters, ReplayCode
from shared.errors import BrokerUnavailable
from shared.kept_letters import LetterId
from shared.keys import Keys
from shared.model import EntryId
from shared.wire import DeadLetter, decode_entry, encode_dead_letter, encode_message
from tests.support.letters import PARTITIONS, bury, bury_many
from tests.support.windows import make_window


@pytest.fixture
def keys(prefix: str) -> Keys:
    """Of three partitions under a prefix of the test's own."""
    return Keys(prefix, PARTITIONS)


def test_id_is_partition_and_entry() -> None:
    """What the list prints is what the other commands take."""
    letter_id = LetterId.parse("3:1760000000000-7")
    assert letter_id == LetterId(EntryId(1_760_000_000_000, 7), 3)
    assert str(letter_id) == "3:1760000000000-7"


@pytest.mark.parametrize(
    "text", ["", "3", "3:", "3:x-0", "-1:5-0", "3:5", "w_abc", "3:5-0-0", "²:5-0"]
)
def test_other_text_is_no_id(text: str) -> None:
    """A slip of the hand is told before anything is asked."""
    with pytest.raises(ValueError, match="no id of a dead letter"):
        LetterId.parse(text)


async def test_nothing_dead(letters: DeadLetters) -> None:
    """An empty list is no error."""
    assert await letters.newest(10) == []
    assert await letters.newest_id() is None


async def test_list_is_newest_first_across_partitions_and_bounded(
    letters: DeadLetters, keys: Keys, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of several partitions are merged by time, and no more than asked for is returned."""
    monkeypatch.setattr(kept_letters, "PAGE_LETTERS", 2)
    ids = await bury_many(redis_client, keys, 20)
    assert len({letter_id.partition for letter_id in ids}) == PARTITIONS
    assert [kept.id for kept in await letters.newest(100)] == ids[::-1]
    assert [kept.id for kept in await letters.newest(7)] == ids[:-8:-1]
    assert await letters.newest_id() == ids[-1]


async def test_letter_is_shown_whole(letters: DeadLetters, keys: Keys, redis_client: Redis) -> None:
    """Every message and the error are there; an id that is not there is None."""
    window = make_window(("one", "two"))
    letter_id = await bury(redis_client, keys, window)
    kept = await letters.show(letter_id)
    assert kept is not None
    assert kept.letter is not None
    assert kept.letter.window == window
    assert kept.obstacle is None
    assert await letters.show(LetterId(EntryId(1, 1), 0)) is None
    assert await letters.show(LetterId(letter_id.entry, PARTITIONS)) is None


async def test_replay_hands_the_window_over_once(
    letters: DeadLetters, keys: Keys, redis_client: Redis, pipe: Pipe
) -> None:
    """The window stands whole in its stream, its owner is woken; a second replay finds nothing."""
    window = make_window(("one", "two"))
    letter_id = await bury(redis_client, keys, window)
    p = keys.partition(letter_id.partition)
    replayed = await letters.replay(letter_id)
    assert replayed.code is ReplayCode.REPLAYED
    assert (await letters.replay(letter_id)).code is ReplayCode.GONE
    ((entry_id, values),) = await pipe.call("XRANGE", p.stream("shop"), "-", "+")
    assert EntryId.parse(entry_id) == replayed.entry
    entry = decode_entry("shop", entry_id, values)
    assert entry.replayed == window
    assert await redis_client.zrange(p.ready, 0, -1) == [b"shop"]
    assert await redis_client.xlen(p.bell) == 1
    assert await redis_client.xlen(p.dead) == 0


async def test_replay_whose_answer_was_lost_is_not_done_twice(
    letters: DeadLetters,
    keys: Keys,
    redis_client: Redis,
    pipe: Pipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis did it, nobody heard, the person repeats it: one entry."""
    letter_id = await bury(redis_client, keys, make_window())
    script = pipe.script

    async def executed_without_an_answer(*call: object) -> None:
        await script(*call)  # type: ignore[arg-type]
        raise BrokerUnavailable("no answer from Redis")

    with monkeypatch.context() as cut:
        cut.setattr(pipe, "script", executed_without_an_answer)
        with pytest.raises(BrokerUnavailable):
            await letters.replay(letter_id)
    assert (await letters.replay(letter_id)).code is ReplayCode.GONE
    assert await redis_client.xlen(keys.partition(letter_id.partition).stream("shop")) == 1


async def test_entry_that_could_not_be_decoded_has_no_window_to_replay(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """It is listed and shown, stays where it is, and the reason is told."""
    letter = DeadLetter(window=None, error="not ours", attempts=0, instance="shop", raw="m ???")
    entry = await redis_client.xadd(keys.partition(1).dead, {"m": encode_dead_letter(letter)})
    replayed = await letters.replay(LetterId(EntryId.parse(entry), 1))
    assert replayed.code is ReplayCode.IMPOSSIBLE
    assert "could not be decoded" in str(replayed.obstacle)
    assert len(await letters.newest(10)) == 1


async def test_entry_that_another_version_could_not_decode_is_handed_over_as_it_was(
    letters: DeadLetters, keys: Keys, redis_client: Redis, pipe: Pipe
) -> None:
    """It stands in its stream again, once, and is read like any other message."""
    message = make_window(("one",)).entries[0].message
    p, value = keys.of("shop", message.user), encode_message(message)
    error, raw = "the entry cannot be read: unknown field", f"m {value.decode()}"
    letter = DeadLetter(window=None, error=error, attempts=0, instance="shop", raw=raw)
    entry = await redis_client.xadd(p.dead, {"m": encode_dead_letter(letter)})
    (kept,) = await letters.newest(10)
    assert kept.id.entry == EntryId.parse(entry)
    assert kept.obstacle is None
    replayed = await letters.replay(kept.id)
    assert replayed.code is ReplayCode.REPLAYED
    assert (await letters.replay(kept.id)).code is ReplayCode.GONE
    ((entry_id, values),) = await pipe.call("XRANGE", p.stream("shop"), "-", "+")
    assert EntryId.parse(entry_id) == replayed.entry
    assert values == [b"m", value]
    assert await redis_client.zrange(p.ready, 0, -1) == [b"shop"]


async def test_damaged_letter_is_listed_shown_and_discarded(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """What a later version or an accident wrote does not hide the others."""
    await bury(redis_client, keys, make_window())
    entry = await redis_client.xadd(keys.partition(1).dead, {"m": b"\xff", "n": b"1"})
    letter_id = LetterId(EntryId.parse(entry), 1)
    assert len(await letters.newest(10)) == 2
    kept = await letters.show(letter_id)
    assert kept is not None
    assert kept.obstacle == "the dead letter itself cannot be read"
    assert (await letters.replay(letter_id)).code is ReplayCode.IMPOSSIBLE
    assert await letters.discard(letter_id)
    assert len(await letters.newest(10)) == 1


async def test_discarded_letter_is_gone(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """It can be neither shown nor replayed, and a repeated call says that it is not there."""
    letter_id = await bury(redis_client, keys, make_window())
    assert await letters.discard(letter_id)
    assert not await letters.discard(letter_id)
    assert not await letters.discard(LetterId(letter_id.entry, PARTITIONS))
    assert (await letters.replay(letter_id)).code is ReplayCode.GONE
