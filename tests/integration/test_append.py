"""Appending through the product's own connection, where answers are lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError, NotConnected
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.wire import decode_entry
from tests.support.pipes import running_pipe

MESSAGE = Message(instance="shop", user="ann", message_id="M0", received_at=1)


async def test_repeated_appends_of_a_request_keep_its_order(
    redis_url: str, redis_client: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose append found no Redis comes before the next one of its user."""
    keys = Keys(prefix, 1)
    messages = [
        Message(instance="shop", user="ann", message_id=f"M{n}", received_at=1) for n in range(6)
    ]
    calls = 0
    run = Pipe.script

    async def lose_some(pipe: Pipe, script: Any, names: Sequence[Any], args: Sequence[Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls in (1, 4):
            raise BrokerUnavailable("lost")
        return await run(pipe, script, names, args)

    monkeypatch.setattr(Pipe, "script", lose_some)
    async with running_pipe(redis_url) as pipe:
        appender = RedisAppender(pipe, keys, 60_000, IngestMetrics(InstanceLabels(10)))
        accepted = await appender.append(messages)
    assert [a.message_id for a in accepted] == [m.message_id for m in messages]
    rows: Any = await redis_client.xrange(keys.partition(0).stream("shop"))
    entries = [decode_entry("shop", i, [b"m", fields[b"m"]]) for i, fields in rows]
    assert [e.message.message_id for e in entries] == [m.message_id for m in messages]


class Answers:
    """A pipe that raises one error after the other."""

    def __init__(self, *errors: InturnError) -> None:
        self._errors = list(errors)

    async def script(self, *_call: Any) -> Any:
        """The next one."""
        raise self._errors.pop(0)


@pytest.mark.parametrize(
    "second",
    [
        NotConnected("refused"),
        BrokerRefused("LOADING", "reads its data"),
        BrokerRefused("OOM", "full"),
    ],
)
async def test_what_may_be_there_is_not_called_unwritten(keys: Keys, second: InturnError) -> None:
    """After a try without an answer nobody may conclude from the next one that it is not there."""
    metrics = IngestMetrics(InstanceLabels(10))
    pipe = cast("Pipe", Answers(BrokerUnavailable("no answer"), second, *[second] * 100))
    appender = RedisAppender(pipe, keys, 3_600_000, metrics, deadline_s=0.2)
    with pytest.raises(BrokerUnavailable) as met:
        await appender.append([MESSAGE])
    assert type(met.value) is BrokerUnavailable


@pytest.mark.parametrize("error", [NotConnected("refused"), BrokerRefused("READONLY", "a replica")])
async def test_what_is_certainly_not_there_is_told(keys: Keys, error: InturnError) -> None:
    """Never sent, or refused at every try: whoever handles it elsewhere handles it alone."""
    metrics = IngestMetrics(InstanceLabels(10))
    pipe = cast("Pipe", Answers(*[error] * 100))
    appender = RedisAppender(pipe, keys, 3_600_000, metrics, deadline_s=0.2)
    with pytest.raises(type(error)):
        await appender.append([MESSAGE])
