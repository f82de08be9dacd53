"""What time it is where a key is: in a cluster each server has a clock of its own."""

from __future__ import annotations

from shared.pipe import Pipe


async def time_ms_at(pipe: Pipe, key: str) -> int:
    """
    The time of the server that has ``key``, in ms.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    seconds, micros = await pipe.call_at(key, "TIME")
    return int(seconds) * 1000 + int(micros) // 1000
