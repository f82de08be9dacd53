"""Forgetting a user: everything of theirs is gone, everything of everybody else is as it was."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.forget import Forgotten
from shared.forget.partition import UsersPart
from shared.keys import GROUP, Keys, conversation_hash
from shared.model import Message
from shared.tickets import Tickets
from shared.wire import DeadLetter, encode_dead_letter, encode_message
from tests.support.everywhere import ANA, BEN, forget, leave_everywhere
from tests.support.journey import INSTANCE, Journey, begin_journey
from tests.support.raw_contents import raw_contents

EVERYWHERE = Forgotten(
    messages=2,
    windows=1,
    replies=2,
    dead_letters=1,
    journal=6,
    ids=12,
    history=1,
    persons=3,
    mutes=1,
    tickets=2,
)


def without(found: dict[str, bytes], *ends: str) -> dict[str, bytes]:
    """All but keys that end so."""
    return {key: value for key, value in found.items() if not key.endswith(ends)}


async def test_nothing_of_a_user_is_left_anywhere(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """No key holds the user's id, their texts, or the hash that stands for them."""
    await leave_everywhere(journey)
    hashed = conversation_hash(INSTANCE, ANA)
    before = await raw_contents(redis_client, keys.prefix)
    places = {key.rpartition("}:")[2] for key, raw in before.items() if ANA.encode() in raw}
    assert places == {
        f"stream:{INSTANCE}", "running", "outbox", "dead", "muted", f"history:{hashed}",
        f"human:{hashed}", "tickets", "numbers",
    }  # fmt: skip
    assert any(b"secret" in raw for raw in before.values())

    report = await forget(pipe, keys)

    assert asdict(report.forgotten) == asdict(EVERYWHERE)
    after = await raw_contents(redis_client, keys.prefix)
    told = {key for key, raw in after.items() if hashed.encode() in raw}
    assert told == {keys.forgets}
    for planted in (ANA.encode(), b"secret", b"reply to", b"cannot be read"):
        assert [key for key, raw in after.items() if planted in raw] == []


async def test_of_many_pages_none_is_left(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is of a user, and of others between."""
    for name in ("PAGE", "PAGE_LETTERS", "PAGE_ROWS", "DELETES"):
        monkeypatch.setattr(f"shared.forget.partition.{name}", 1)
    await leave_everywhere(journey)
    await leave_everywhere(journey.of(BEN))

    assert asdict((await forget(pipe, keys)).forgotten) == asdict(EVERYWHERE)

    after = await raw_contents(redis_client, keys.prefix)
    assert [key for key, raw in after.items() if f'"{ANA}"'.encode() in raw] == []


async def test_everybody_else_keeps_everything(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """A user whose id begins with the forgotten one's has all that they had, byte for byte."""
    ben = journey.of(BEN)
    await leave_everywhere(ben)
    before = await raw_contents(redis_client, keys.prefix)
    await leave_everywhere(journey)

    await forget(pipe, keys)

    noise = (":bell", ":lease", ":asked", ":queue", ":events", ":tickets", ":pending", ":ready")
    after = without(await raw_contents(redis_client, keys.prefix), *noise)
    before = without(before, *noise)
    sent = {key for key in after if ":sent:" in key}
    assert {key: raw for key, raw in after.items() if key not in sent} == {
        key: raw for key, raw in before.items() if key not in sent
    }
    assert (await Tickets(pipe, keys.prefix).status(INSTANCE, BEN)).user is not None
    pending = await pipe.call("XPENDING", keys.of(INSTANCE, BEN).stream(INSTANCE), GROUP)
    assert pending[0] == 2


async def test_forgetting_again_finds_nothing_and_disturbs_nobody(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """Also one of whom nothing was ever known: nothing is deleted, and no owner is fenced."""
    await journey.say("a")
    lease = keys.of(INSTANCE, ANA).lease
    assert (await forget(pipe, keys, "nobody")).forgotten == Forgotten()
    assert await pipe.call("HGET", lease, "epoch") == str(journey.epoch).encode()

    await forget(pipe, keys)
    assert (await forget(pipe, keys)).forgotten == Forgotten()


async def test_what_cannot_be_decoded_goes_if_it_names_the_user(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """Damaged entries, replies, dead letters and records; others' stay for a person to see."""
    partition = keys.of(INSTANCE, ANA)
    whole = Message(instance=INSTANCE, user=ANA, message_id="m", text="secret", received_at=1)
    torn = encode_message(whole)[:-4]
    stranger = torn.replace(ANA.encode(), BEN.encode())
    for key in (partition.stream(INSTANCE), partition.outbox, partition.dead):
        await pipe.call("XADD", key, "*", "m", torn + f'"{INSTANCE}"'.encode())
        await pipe.call("XADD", key, "*", "other", "fields", "m", torn)
        await pipe.call("XADD", key, "*", "m", stranger)
    await pipe.call("HSET", partition.running, f"{INSTANCE}\0{ANA}", "no record")

    await forget(pipe, keys)

    after = await raw_contents(redis_client, keys.prefix)
    assert [key for key, raw in after.items() if f'"{ANA}"'.encode() in raw] == []
    assert sum(BEN.encode() in raw for raw in after.values()) == 3
    assert partition.running not in after


async def test_an_entry_that_was_buried_goes_too(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """A dead letter of an entry that could not be read says its user only in its raw text."""
    raw = f'm {{"v": 9, "user": "{ANA}", "text": "secret"}}'
    letter = DeadLetter(window=None, error="no", attempts=0, instance=INSTANCE, raw=raw)
    dead = keys.of(INSTANCE, ANA).dead
    await pipe.call("XADD", dead, "*", "m", encode_dead_letter(letter))

    assert (await forget(pipe, keys)).forgotten.dead_letters == 1
    assert await pipe.call("XLEN", dead) == 0


async def test_a_replayed_window_goes_too(journey: Journey, pipe: Pipe, keys: Keys) -> None:
    """Whenever a person has handed it over again, what is in it is old."""
    await journey.say("a")
    await journey.read()
    await journey.start(1)
    letter_id = await journey.give_up("ValueError")
    replayed = await journey.replay(letter_id)

    found = await UsersPart(pipe, keys, INSTANCE, ANA).forget(replayed.ms - 1)

    assert found.messages == 1


async def test_other_keys_types_hold_nothing_up(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """What somebody else has written over a conversation's keys goes with the rest."""
    partition = keys.of(INSTANCE, ANA)
    for key in (
        *partition.both_seen(INSTANCE, ANA),
        partition.history(INSTANCE, ANA),
        partition.human(INSTANCE, ANA),
        partition.muted,
    ):
        await pipe.call("SET", key, "something")
    await forget(pipe, keys)
    after = await raw_contents(redis_client, keys.prefix)
    assert not any(conversation_hash(INSTANCE, ANA) in key for key in after)


async def test_a_forgotten_ticket_keeps_its_number(pipe: Pipe, keys: Keys) -> None:
    """The queue goes on as before; who comes again gets a new number, also with an old key."""
    tickets = Tickets(pipe, keys.prefix)
    await tickets.enter(INSTANCE, BEN)
    first = await tickets.enter(INSTANCE, ANA, key="once")
    await tickets.enter(INSTANCE, "cid", key="other")

    assert (await forget(pipe, keys)).forgotten.tickets == 1

    assert (await tickets.status(INSTANCE)).waiting == 3
    again = await tickets.enter(INSTANCE, ANA, key="once")
    assert (again.number, again.already, first.number) == (4, False, 2)
    called = [(await tickets.done(INSTANCE)).status.serving for _ in range(4)]
    assert called == [1, 2, 3, 4]
    assert (await tickets.enter(INSTANCE, "cid", key="other")).number == 3


async def test_a_step_that_fails_is_made_by_the_next_call(
    pipe: Pipe, keys: Keys, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command dies, the same command again leaves nothing behind."""
    failing, is_over = 0, False
    while not is_over:
        user = f"4915{failing:07d}"
        await leave_everywhere(await begin_journey(pipe, keys, user))
        with monkeypatch.context() as patch:
            patch.setattr(pipe, "call", dying_after(failing, pipe.call))
            try:
                await forget(pipe, keys, user)
                is_over = True
            except BrokerRefused:
                failing += 1
        await forget(pipe, keys, user)
    assert failing > 15
    after = await raw_contents(redis_client, keys.prefix)
    # whole: four of its digits may stand in a time
    assert [key for key, raw in after.items() if re.search(rb"4915\d{7}", raw)] == []


def dying_after(count: int, call: Any) -> Any:
    """``call`` that works so often, and then never again."""
    calls = 0

    async def call_or_die(*command: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > count:
            raise BrokerRefused("ERR", "the command died here")
        return await call(*command)

    return call_or_die
