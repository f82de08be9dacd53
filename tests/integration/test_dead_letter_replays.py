"""All dead letters, or those of an instance or an error, are replayed page by page, each once."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from shared import dead_letters, kept_letters
from shared.connect import Pipe
from shared.dead_letters import EVERY, DeadLetters, Meant, ReplayCode
from shared.errors import BrokerUnavailable
from shared.kept_letters import LetterId
from shared.keys import Keys, partition_of
from shared.model import EntryId
from tests.support.letters import PARTITIONS, bury, bury_many
from tests.support.windows import make_window


@pytest.fixture
def keys(prefix: str) -> Keys:
    """Of three partitions under a prefix of the test's own."""
    return Keys(prefix, PARTITIONS)


async def replay_everything(letters: DeadLetters, meant: Meant = EVERY) -> list[LetterId]:
    """Page after page, as the console and the command line do it; what was replayed."""
    until, after, replayed = await letters.newest_id(), None, []
    while until is not None:
        page = await letters.replay_page(meant, until, after)
        replayed += [one for one, outcome in page.outcomes if outcome.code is ReplayCode.REPLAYED]
        if page.next is None:
            break
        assert page.next != after, "a page that went nowhere"
        after = page.next
    return replayed


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a dozen letters are many."""
    monkeypatch.setattr(kept_letters, "PAGE_LETTERS", 2)
    monkeypatch.setattr(dead_letters, "LOOKED_AT_MAX", 3)


@pytest.mark.usefixtures("small_pages")
async def test_all_are_replayed_page_by_page_oldest_first(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """Each once, in the order in which they were given up; also those of one millisecond."""
    ids = await bury_many(redis_client, keys, 20)
    for number in range(PARTITIONS):
        user = next(
            name
            for name in (f"twin-{n}" for n in range(100))
            if partition_of("shop", name, PARTITIONS) == number
        )
        ids.append(await bury(redis_client, keys, make_window(user=user), "1500-0"))
    assert await replay_everything(letters) == ids
    assert await letters.newest(1) == []


@pytest.mark.usefixtures("small_pages")
async def test_what_is_given_up_meanwhile_stays(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """A replay ends, also where the handler is still broken: new letters are not meant."""
    ids = await bury_many(redis_client, keys, 8)
    until = await letters.newest_id()
    assert until is not None
    page = await letters.replay_page(EVERY, until)
    anew = await bury(redis_client, keys, make_window(user="user-0"), "5000-0")
    while page.next is not None:
        page = await letters.replay_page(EVERY, until, page.next)
    assert [kept.id for kept in await letters.newest(100)] == [anew]
    assert len(ids) == 8


@pytest.mark.usefixtures("small_pages")
async def test_two_replays_at_once_hand_each_window_over_once(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """Who clicks twice, or in two browsers, doubles nothing."""
    ids = await bury_many(redis_client, keys, 20)
    first, second = await asyncio.gather(replay_everything(letters), replay_everything(letters))
    assert sorted(first + second) == ids
    entries = 0
    for number in range(PARTITIONS):
        entries += await redis_client.xlen(keys.partition(number).stream("shop"))
    assert entries == len(ids)


@pytest.mark.usefixtures("small_pages")
async def test_a_replay_that_was_cut_off_begins_anew(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """Whoever drove it is gone after a page: the next one finds what is left, and nothing twice."""
    ids = await bury_many(redis_client, keys, 10)
    until = await letters.newest_id()
    assert until is not None
    page = await letters.replay_page(EVERY, until)
    assert page.next is not None
    done = [letter_id for letter_id, _ in page.outcomes]
    assert done + await replay_everything(letters) == ids


async def test_a_failure_ends_a_page_behind_what_is_done(
    letters: DeadLetters,
    keys: Keys,
    redis_client: Redis,
    pipe: Pipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was handed over is told, though Redis went away; at the first one there is an error."""
    ids = await bury_many(redis_client, keys, 5)
    script, calls = pipe.script, 0

    async def fail_at_the_third(*call: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= 3:
            raise BrokerUnavailable("no answer from Redis")
        return await script(*call)  # type: ignore[arg-type]

    with monkeypatch.context() as cut:
        cut.setattr(pipe, "script", fail_at_the_third)
        page = await letters.replay_page(EVERY, ids[-1])
        assert [letter_id for letter_id, _ in page.outcomes] == ids[:2]
        assert page.next == ids[1]
        with pytest.raises(BrokerUnavailable):
            await letters.replay_page(EVERY, ids[-1], page.next)
    rest = await letters.replay_page(EVERY, ids[-1], page.next)
    assert ([letter_id for letter_id, _ in rest.outcomes], rest.next) == (ids[2:], None)


@pytest.mark.usefixtures("small_pages")
async def test_those_of_an_instance_or_an_error_are_found_and_replayed(
    letters: DeadLetters, keys: Keys, redis_client: Redis
) -> None:
    """By pages that may hold few of them; all others stay. What cannot be read is neither."""
    wanted = []
    for n in range(12):
        error = ("answered 500: oh no", "TimeoutError: late")[n % 2]
        letter = await bury(
            redis_client, keys, make_window(user=f"user-{n}"), f"{1000 + n}-0", error=error
        )
        wanted += [letter] * (n % 2)
    entry = await redis_client.xadd(keys.partition(1).dead, {"m": b"\xff"})
    meant = Meant(instance="shop", error="TimeoutError")
    found, before = [], None
    while True:
        page = await letters.page(meant, before, 2)
        found += [kept.id for kept in page.letters]
        if page.next is None:
            break
        before = page.next
    assert found == wanted[::-1]
    groups = await letters.groups()
    assert {(one.instance, one.error): count for one, count in groups.counts} == {
        ("shop", "answered 500"): 6,
        ("shop", "TimeoutError"): 6,
    }
    assert (groups.looked_at, groups.is_whole) == (13, True)
    assert await replay_everything(letters, meant) == wanted
    left = await letters.newest(100)
    assert len(left) == 7
    assert left[0].id == LetterId(EntryId.parse(entry), 1)
    assert await replay_everything(letters, Meant(instance="elsewhere")) == []


async def test_groups_say_when_they_are_not_of_all(
    letters: DeadLetters, keys: Keys, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many the newest are counted, and that is told."""
    monkeypatch.setattr(dead_letters, "GROUPED_MAX", 4)
    await bury_many(redis_client, keys, 5)
    groups = await letters.groups()
    assert (groups.looked_at, groups.is_whole) == (4, False)
    assert [count for _, count in groups.counts] == [4]
