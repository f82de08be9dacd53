"""Which workers live, for whoever is none."""

from __future__ import annotations

import asyncio

from shared.connect import Pipe
from shared.keys import Keys


async def live_workers(pipe: Pipe, keys: Keys) -> dict[str, str]:
    """
    The state of each worker whose key is there, by its id, in the order of ids.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    names = sorted(name.decode() for name in await pipe.call("SMEMBERS", keys.workers))
    states = await asyncio.gather(
        *(pipe.call("HGET", keys.worker(name), "state") for name in names)
    )
    live = zip(names, states, strict=True)
    return {name: state.decode() for name, state in live if state is not None}
