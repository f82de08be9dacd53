"""
Muting: while a person has a user, the user's windows are finished in silence.

A conversation that its provider says is with a person is known by its last message; one that
somebody muted by decision (``shared.mutes``) by what start and finish find in Redis. Where
``ON_HUMAN`` mutes, Redis is asked before the handler is called, and again before its reply is
written: a person may have answered meanwhile. What came while a send of ours is on its way may be
that send's echo, and mutes nobody until the send has ended.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from consumer.attempt import Running
from consumer.retry import Decision, Finish
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.model import Window
from shared.on_human import muted_until

PAUSE_S = 0.1
PAUSE_MAX_S = 2.0

MUTED = Finish(texts=(), silence="muted")
WITH_HUMAN = Finish(texts=(), silence="with_human")

log = structlog.get_logger()


class Mutes:
    """
    Stands before the handler, and between its result and what is written.

    ``call`` is told which window's handler may be called, ``settle`` what became of the others.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        mute_ms_of: Callable[[str, str | None], int] | None,
        call: Callable[[Running], None],
        settle: Callable[[Running, Decision], None],
    ) -> None:
        """``mute_ms_of`` (instance, connection): 0 where nobody is muted; None: nowhere."""
        self._tasks = tasks
        self._mute_ms_of = mute_ms_of
        self._call = call
        self._settle = settle

    def begin(self, running: Running) -> None:
        """Have a started window's handler called, unless a person has its user."""
        window = running.window
        if running.is_muted or _is_with_human(window):
            self._settle(running, MUTED if running.is_muted else WITH_HUMAN)
            return
        if self._mute_ms_of is not None:
            connection = window.entries[0].message.connection
            running.mute_ms = self._mute_ms_of(window.instance, connection)
            if running.mute_ms:
                asking = self._call_unless_muted(running)
                self._tasks.create_task(asking, name=f"mute-{window.id}")
                return
        self._call(running)

    def decided(self, running: Running, decision: Decision) -> None:
        """Have a decision written; a reply only if no person has answered meanwhile."""
        if running.mute_ms and isinstance(decision, Finish) and decision.texts:
            asking = self._settle_unless_muted(running, decision)
            self._tasks.create_task(asking, name=f"mute-{running.window.id}")
            return
        self._settle(running, decision)

    async def _call_unless_muted(self, running: Running) -> None:
        if await self._is_muted(running):
            self._settle(running, MUTED)
        else:
            self._call(running)

    async def _settle_unless_muted(self, running: Running, reply: Finish) -> None:
        if await self._is_muted(running):
            reply = replace(MUTED, mute_ms=reply.mute_ms)
        self._settle(running, reply)

    async def _is_muted(self, running: Running) -> bool:
        """Asked until there is an answer: what follows needs Redis, too."""
        pause_s = PAUSE_S
        while True:
            try:
                now_ms, known = await running.store.persons(running.window.conversation)
                return muted_until(known, running.mute_ms) > now_ms
            except (BrokerUnavailable, BrokerRefused) as error:
                log.warning("mute.unknown", window=running.window.id, error=str(error))
            await asyncio.sleep(pause_s * (0.5 + random.random()))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)


def _is_with_human(window: Window) -> bool:
    """Whether the user's last message was; to look for any spares most windows their order."""
    for entry in window.members:
        if entry.message.with_human:
            return window.in_sent_order()[-1].message.with_human
    return False
