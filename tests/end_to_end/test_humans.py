"""A person answers from the phone: from the provider's webhook to the silence that follows."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

from tests.support.deployment import Row
from tests.support.door_system import REPLY, DoorSystem, door_system
from tests.support.doors import INSTANCE, Hook
from tests.support.doors.evolution import DOOR, JSON
from tests.support.evolution_payloads import key, text_item, webhook
from tests.support.waiting import eventually


def left_the_account(message_id: str) -> Hook:
    """Evolution reports a message that was sent to the user of ``DOOR.text``."""
    of = key(fromMe=True, id=message_id)
    item = text_item("we are open until six", of=of, messageTimestamp=int(time.time()))
    return Hook(body=json.dumps(webhook(item, instance=INSTANCE)).encode(), headers=JSON)


async def outcomes(made: DoorSystem) -> list[str]:
    """What became of windows, in the order of their ends."""
    found = []
    async for name in made.redis.scan_iter(f"{made.prefix}:*:journal"):
        rows = cast("list[Row]", await made.redis.xrange(name))
        found += [fields[b"what"].decode() for _, fields in rows]
    return [what for what in found if what != "sent"]


async def test_a_persons_answer_mutes_and_our_own_echo_does_not(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """The echo of the reply is counted as ours; a message by hand as a person's, and it mutes."""
    door = replace(DOOR, settings={**DOOR.settings, "on_human": "mute:5"})
    async with door_system(door, redis_url, prefix, tmp_path, max_wait_ms=300) as made:
        assert await made.knock(door.text("is it open?", 1)) == 200
        await made.handler.wait_for_calls(1)
        await eventually(lambda: made.provider.that_say(REPLY), "a reply")
        await made.handled()
        assert await made.knock(left_the_account("3EB0SENT0001")) == 200
        assert await made.knock(door.text("thanks", 2)) == 200
        await made.handler.wait_for_calls(2)
        await made.handled()
        assert await made.knock(left_the_account("3EB0BYHAND")) == 200
        assert await made.knock(door.text("and on friday?", 3)) == 200
        await made.handled()
        assert await outcomes(made) == ["answered", "answered", "muted"]
        assert len(made.handler.calls) == 2
        metrics = await made.ingest.metrics()
        for kind in ("echo", "human"):
            named = f'inturn_messages_ignored_total{{kind="{kind}",provider="evolution"}}'
            assert f"{named} 1.0" in metrics.splitlines()
