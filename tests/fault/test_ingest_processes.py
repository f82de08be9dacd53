"""F2 with several processes on one port: kill -9 one of two under load, again and again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.ingest_crew import CREW, IngestCrew, free_port_pair
from tests.support.loaded import begin_sending, loaded, settled

KILLS = 4

pytestmark = pytest.mark.timeout(180)


async def test_killed_one_of_two_under_load(
    redis_url: str, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """
    What was accepted is handled once and in order, though its process was killed; its senders
    send again what it had not answered, and the other takes it.
    """
    first = free_port_pair()
    settings = {"ingest_command": CREW, "metrics_port": first}
    async with loaded(redis_url, prefix, tmp_path, chance, **settings) as made:
        crew = IngestCrew(process=made.ingest, metrics_ports=(first, first + 1))
        await crew.all_ready()
        await made.consumer()
        await made.consumer()
        over = asyncio.Event()
        sending = begin_sending(made, over=over)
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 0.5))
            assert not sending.done(), "void: the load was over"
            await crew.all_ready(without=crew.kill_oldest())
        over.set()

        await settled(made, sending)
