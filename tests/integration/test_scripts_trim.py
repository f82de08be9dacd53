"""trim: what was kept for a time and is over goes, and nothing else."""

from __future__ import annotations

from shared.keys import conversation_field
from tests.support.partition_scripts import ANN, SHOP, Scripts

RETENTION_MS = 60_000
CONVERSATION = conversation_field(SHOP, ANN)


async def trim(scripts: Scripts) -> list[int]:
    """How many rows went, and how many muted conversations."""
    keys = (scripts.p.journal, scripts.p.muted)
    answer: list[int] = await scripts.run("trim", keys, RETENTION_MS)
    return answer


async def now_ms(scripts: Scripts) -> int:
    """By Redis's clock."""
    seconds, microseconds = await scripts.client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def test_what_is_over_goes_row_by_row(scripts: Scripts) -> None:
    """Also of the hundred rows that Redis keeps together."""
    now = await now_ms(scripts)
    for age_ms in (3 * RETENTION_MS, 2 * RETENTION_MS, RETENTION_MS // 2, 0):
        await scripts.client.xadd(scripts.p.journal, {"what": "silent"}, id=f"{now - age_ms}-1")
    await scripts.client.zadd(scripts.p.muted, {CONVERSATION: now - 1, "later": now + 60_000})
    assert await trim(scripts) == [2, 1]
    rows = await scripts.client.xrange(scripts.p.journal)
    assert [int(row_id.split(b"-")[0]) for row_id, _ in rows] == [now - RETENTION_MS // 2, now]
    assert await scripts.client.zrange(scripts.p.muted, 0, -1) == [b"later"]
    assert await trim(scripts) == [0, 0], "calling again is safe"


async def test_makes_nothing_where_nothing_is(scripts: Scripts) -> None:
    """No key comes into being."""
    assert await trim(scripts) == [0, 0]
    assert not await scripts.client.exists(scripts.p.journal, scripts.p.muted)


async def test_leaves_what_somebody_else_put_there(scripts: Scripts) -> None:
    """One of the two keys in the way keeps nobody from trimming the other."""
    await scripts.client.set(scripts.p.journal, "in the way")
    await scripts.client.zadd(scripts.p.muted, {CONVERSATION: 1})
    assert await trim(scripts) == [0, 1]
    await scripts.client.rename(scripts.p.journal, scripts.p.muted)
    await scripts.client.xadd(scripts.p.journal, {"what": "silent"}, id="1-1")
    assert await trim(scripts) == [1, 0]
    assert await scripts.client.get(scripts.p.muted) == b"in the way"
