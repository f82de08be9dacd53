"""How the answer to one script call is shared among those who wait for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.exceptions import ResponseError

from ingest.group import BYTES_MAX, MESSAGES_MAX, Group, Groups, Turn
from shared.command import Command
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotDurable
from shared.keys import Keys

PARTITION = Keys("p", 1).partition(0)
NOSCRIPT = BrokerRefused("NOSCRIPT", "No matching script")
WRONGTYPE = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


class Waiting:
    """A pipe that sends nothing; once it has ``ended`` it takes nothing, either."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.ended = False

    def send(self, command: Command) -> None:
        """As ``Pipe.send``."""
        if self.ended:
            raise BrokerUnavailable("the connection was closed")
        self.sent.append(command)


@pytest.fixture
async def pipe() -> Waiting:
    """Nothing is sent yet."""
    return Waiting()


@pytest.fixture
async def groups(pipe: Waiting) -> Groups:
    """One partition's."""
    return Groups(cast("Pipe", pipe), 60_000)


def turn(*ids: str) -> Turn:
    """Messages of one user."""
    keys = ("stream", "seen0", "seen1") * len(ids)
    args = [part for message_id in ids for part in ("shop", message_id, b"{}")]
    return Turn(PARTITION, keys, args, len(ids), 2 * len(ids))


async def outcomes(*futures: asyncio.Future[Any]) -> list[Any]:
    """What each is told."""
    return await asyncio.gather(*futures, return_exceptions=True)


def only_group(pipe: Waiting) -> Group:
    """The one that was sent."""
    (group,) = pipe.sent
    assert isinstance(group, Group)
    return group


async def test_each_turn_is_told_its_own_part(pipe: Waiting, groups: Groups) -> None:
    """Entry ids in the order of the messages; a refusal is that of its turn alone."""
    waiting = [groups.append(turn("A")), groups.append(turn("B", "C")), groups.append(turn("D"))]
    group = only_group(pipe)
    assert (group.is_wanted(), group.count) == (True, 4)
    refused = group.settle([b"1-0", b"1-1", WRONGTYPE, [b"0-1"]])
    first, second, third = await outcomes(*waiting)
    assert (first, third) == ([b"1-0"], [[b"0-1"]])
    assert isinstance(second, BrokerRefused)
    assert refused is second


async def test_what_is_refused_is_refused_however_durable(pipe: Waiting, groups: Groups) -> None:
    """Where too few replicas have the batch, every other turn of it is not accepted."""
    waiting = [groups.append(turn("A")), groups.append(turn("B"))]
    only_group(pipe).settle([b"1-0", WRONGTYPE], "0 of 1 replicas have it")
    kept, refused = await outcomes(*waiting)
    assert isinstance(kept, NotDurable)
    assert isinstance(refused, BrokerRefused)


async def test_a_failure_is_everybodys(pipe: Waiting, groups: Groups) -> None:
    """A lost answer says nothing of any of them."""
    waiting = [groups.append(turn("A")), groups.append(turn("B"))]
    lost = BrokerUnavailable("lost")
    only_group(pipe).settle(lost)
    assert await outcomes(*waiting) == [lost, lost]


async def test_the_next_turn_begins_a_group_once_one_has_left(
    pipe: Waiting, groups: Groups
) -> None:
    """Nothing is added to what was packed, or is settled: it would never be sent."""
    groups.append(turn("A"))
    group = only_group(pipe)
    assert group.is_wanted()
    groups.append(turn("B"))
    assert len(pipe.sent) == 2
    pipe.sent[1].settle(BrokerUnavailable("lost"))
    last = groups.append(turn("C"))
    assert len(pipe.sent) == 3
    assert not last.done()


@pytest.mark.parametrize(
    "one, fit",
    [
        (turn(*map(str, range(16))), MESSAGES_MAX // 16),
        (replace(turn("A"), size_bytes=BYTES_MAX // 2), 2),
    ],
)
async def test_a_full_group_takes_no_more(
    pipe: Waiting, groups: Groups, one: Turn, fit: int
) -> None:
    """Redis does nothing else while a script runs: what it has to do is bounded."""
    for _ in range(fit):
        groups.append(one)
    assert len(pipe.sent) == 1
    groups.append(one)
    assert len(pipe.sent) == 2


async def test_who_is_gone_is_not_packed(pipe: Waiting, groups: Groups) -> None:
    """Its answer would shift those of the others; a group of nobody is not sent."""
    gone, stays = groups.append(turn("gone")), groups.append(turn("stays"))
    gone.cancel()
    group = only_group(pipe)
    assert (group.is_wanted(), group.count) == (True, 1)
    packed = group.pack()
    assert b"stays" in packed
    assert b"gone" not in packed
    group.settle([b"1-0"])
    assert await stays == [b"1-0"]
    stays = groups.append(turn("nobody"))
    stays.cancel()
    assert not pipe.sent[1].is_wanted()


async def test_the_text_is_sent_once(pipe: Waiting, groups: Groups) -> None:
    """Redis does not know the hash: the same group again, whole; then that is the answer."""
    waiting = groups.append(turn("A"))
    group = only_group(pipe)
    assert group.is_wanted()
    assert b"EVALSHA" in group.pack()
    assert group.settle(NOSCRIPT) is None
    assert pipe.sent == [group, group]
    assert group.is_wanted()
    assert b"redis.call" in group.pack()
    assert group.settle(NOSCRIPT) is NOSCRIPT
    assert await outcomes(waiting) == [NOSCRIPT]


async def test_nobody_is_left_waiting_by_a_pipe_that_ends(pipe: Waiting, groups: Groups) -> None:
    """Neither when the text can be sent no more, nor when a turn comes too late."""
    waiting = groups.append(turn("A"))
    pipe.ended = True
    only_group(pipe).settle(NOSCRIPT)
    (told,) = await outcomes(waiting)
    assert type(told) is BrokerUnavailable
    with pytest.raises(BrokerUnavailable):
        groups.append(turn("B"))
    assert not groups.open
