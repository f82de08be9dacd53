"""
What is going on, looked at once for all open pages of this process, and only while there are any.

Each view is looked at again and again while somebody has it open: at most every half second, and
never for more than a part of the time. Nothing is kept that a crash could lose: browsers come
back, to any process, and are told what is there then. While Redis is away the streams stay open
and say so.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.frames import Frame, framed
from ingest.listener import Listener
from shared.errors import InturnError

LOOK = "LOOK"
STALE = "STALE"

INTERVAL_S = 0.5
REST = 8
"""What a look takes, so many times over, goes by before the next one."""

LOOKS_TIMED = 3
"""The quickest of so many counts: one that had to wait for others says nothing of what it costs."""

INTERVAL_MAX_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What a page is to be told: a view; of it only what has to do with an ``instance``, or whose name
    holds it (empty: all); and whether users are to be named.
    """

    view: str
    instance: str = ""
    users: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a view is looked at, and how often at most; it may raise an ``InturnError``."""

    look: Callable[[Asked], Awaitable[dict[str, Any]]]
    interval_s: float = INTERVAL_S


log: FilteringBoundLogger = structlog.get_logger()


class View:
    """One view, as long as somebody looks: who, and what they were told last."""

    def __init__(self, asked: Asked, look: Look) -> None:
        self.asked = asked
        self.look = look
        self.listeners: set[Listener] = set()
        self.last: Frame | None = None
        self.has_emptied = asyncio.Event()
        self.is_stale = False
        self.took_s: deque[float] = deque(maxlen=LOOKS_TIMED)

    def tell(self, frame: Frame) -> None:
        """Everybody; nothing here waits for one who is slow."""
        self.last = frame
        for listener in self.listeners:
            listener.send(frame)


class Collector:
    """All views of this process. ``group`` runs the looks."""

    def __init__(
        self,
        looks: Mapping[str, Look],
        group: asyncio.TaskGroup,
        *,
        away: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """``away``: what is known while nothing can be looked at."""
        self.is_closed = False
        self.names = tuple(looks)
        self._looks = looks
        self._away = away
        self._group = group
        self._views: dict[Asked, View] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return sum(len(view.listeners) for view in self._views.values())

    def enter(self, asked: Asked, listener: Listener) -> View:
        """Tell a listener what is there, and from now on what comes; it must ``leave``."""
        view = self._views.get(asked)
        if view is None:
            view = self._views[asked] = View(asked, self._looks[asked.view])
            work = self._keep_looking(view)
            task = self._group.create_task(work, name=f"console-{asked.view}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        view.listeners.add(listener)
        view.has_emptied.clear()
        if view.last is not None:
            listener.send(view.last)
        return view

    def leave(self, view: View, listener: Listener) -> None:
        """The listener has ended; a view without one is not looked at any more."""
        view.listeners.discard(listener)
        if not view.listeners:
            view.has_emptied.set()

    def close(self) -> None:
        """End all streams now; none begins any more."""
        self.is_closed = True
        for task in self._tasks:
            task.cancel()
        for view in self._views.values():
            for listener in view.listeners:
                listener.ended.set()

    async def _keep_looking(self, view: View) -> None:
        try:
            while view.listeners:
                began_s = time.monotonic()
                view.tell(await self._look(view))
                view.took_s.append(time.monotonic() - began_s)
                await _wait(view.has_emptied, pause_s(view.look.interval_s, view.took_s))
        finally:
            self._views.pop(view.asked, None)

    async def _look(self, view: View) -> Frame:
        """What is there; where it cannot be told, that."""
        try:
            found = await view.look.look(view.asked)
        except InturnError as error:
            if not view.is_stale:
                log.warning("console.unreadable", view=view.asked.view, error=str(error))
        except Exception:
            if not view.is_stale:  # what somebody else wrote there must not end the process
                log.exception("console.unreadable", view=view.asked.view)
        else:
            view.is_stale = False
            return framed(LOOK, {"view": view.asked.view, "stale": False, **found})
        view.is_stale = True
        return framed(STALE, {"view": view.asked.view, "stale": True, **self._away()})


def pause_s(interval_s: float, took_s: Iterable[float]) -> float:
    """How long after a look the next one begins; ``took_s`` are the last ones' times."""
    return min(INTERVAL_MAX_S, max(interval_s, min(took_s) * REST))


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    """Until it is set, or the time is over."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        pass
