"""Whatever a user's windows came to, the same is told of them when the journal is over."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.keys import Keys
from shared.trace import Trace
from tests.support.clients import look_into
from tests.support.journey import DEDUPE_MS, INSTANCE, USER, begin_journey
from tests.support.pipes import running_pipe
from tests.support.tracing import all_told, forget_journal, told, where
from tests.support.ways import WAYS

windows = st.tuples(st.sampled_from(sorted(WAYS)), st.integers(1, 3), st.booleans())
_NUMBERS = itertools.count()


async def _check(url: str, prefix: str, history: list[tuple[str, int, bool]]) -> None:
    keys = Keys(prefix, 1)
    names = keys.partition(0).both_seen(INSTANCE, USER)
    async with running_pipe(url) as pipe, look_into(url) as client:
        journey, trace, ids = await begin_journey(pipe, keys), Trace(pipe, keys), []
        for number, (way, size, ages) in enumerate(history):
            ids += [f"{number}-{at}" for at in range(size)]
            await journey.say(*ids[-size:])
            if ages:
                await _age(client, names)
            await journey.read()
            await journey.start(size)
            await WAYS[way](journey)
        before = [told(await where(trace, one)) for one in ids]
        whole = all_told(await trace.conversation(INSTANCE, USER))
        await forget_journal(client, keys)
        assert [told(await where(trace, one)) for one in ids] == before
        assert all_told(await trace.conversation(INSTANCE, USER)) == whole
        await client.delete(*[name async for name in client.scan_iter(f"{prefix}:*")])


async def _age(client: Redis, names: tuple[str, str]) -> None:
    """The ids of now become those of the generation before, if there are none of that."""
    if await client.exists(*names) == 1:
        [now] = [name for name in names if await client.exists(name)]
        [before] = set(names) - {now}
        await client.rename(now, before)
        await client.pexpire(before, DEDUPE_MS // 2)


@pytest.mark.timeout(120)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=st.lists(windows, min_size=1, max_size=6))
def test_no_state_and_no_time_changes_when_the_journal_is_over(
    redis_url: str, prefix: str, history: list[tuple[str, int, bool]]
) -> None:
    """Through any windows of a user, in any order, some of them a generation of ids later."""
    asyncio.run(_check(redis_url, f"{prefix}-{next(_NUMBERS)}", history))
