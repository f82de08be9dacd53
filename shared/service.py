"""
How a service runs: the loop, its signals, its listening sockets, and a watchdog.

Only ``__main__`` modules and the command line call this.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn, Self

import prometheus_client
import structlog
import uvloop
from aiohttp import web

from shared.addresses import explain_address
from shared.connect import Pipe, open_pipe
from shared.errors import BrokerRefused, BrokerUnavailable, StartRefused
from shared.home import find_redis_url
from shared.log import configure_logging, hash_users_with
from shared.preflight import Prepared, prepare
from shared.settings import Settings, load_settings
from shared.uncaught import log_failures_of, log_uncaught

CONNECT_TIMEOUT_MS = 2000
CONNECT_RETRY_S = 1.0
END_LIMIT_S = 5.0
"""How long what a service left behind may hold its process up: a call that ignores its end."""

FILES_MAX = 65_536
"""Files that a service may open, where the system lets it."""

WATCHDOG_EXIT_CODE = 70
"""EX_SOFTWARE: the loop stood still, a supervisor should start the process again."""

LOOP_BEAT_PARTS = 10

Serve = Callable[[Settings, str, asyncio.Event], Awaitable[None]]
"""A service: settings, Redis's URL, and the event that ends it."""

ServePrepared = Callable[[Settings, str, Prepared, asyncio.Event], Awaitable[None]]
"""A service that cannot begin without Redis: also what was prepared there."""

log = structlog.get_logger()


def run_prepared(serve: ServePrepared) -> int:
    """``run_configured``, but wait for Redis first."""

    async def wait_and_serve(settings: Settings, redis_url: str, stop: asyncio.Event) -> None:
        found = await prepared(settings, redis_url, stop)
        if found is not None:
            await serve(settings, redis_url, found, stop)

    return run_configured(wait_and_serve)


def run_configured(serve: Serve) -> int:
    """
    Read the settings, set up logs, run ``serve`` until a signal.

    Without ``REDIS_URL`` the embedded Redis of an ``inturn up`` in this folder is used. Returns
    the exit code; 2: it refused to start.
    """
    try:
        settings = load_settings()
        redis_url = find_redis_url(settings)
    except StartRefused as error:
        return refuse_start(error.problems)
    configure_logging(settings.log_level, settings.log_format)
    log_uncaught()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

    return run_service(lambda stop: serve(settings, redis_url, stop))


def run_service(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """
    Run ``main`` until it returns; SIGTERM and SIGINT set its event. Returns the exit code.

    2: it refused to start, with every problem printed at once.
    """
    _calm_garbage_collection()
    _raise_file_limit()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        log_failures_of(loop)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        await main(stop)

    try:
        with _Ending() as ending, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(run())
            finally:
                ending.begin(0 if sys.exc_info()[0] is None else WATCHDOG_EXIT_CODE)
    except BaseExceptionGroup as group:
        refused, rest = group.split(StartRefused)
        if refused is None or rest is not None:
            raise
        return refuse_start([p for error in _leaves(refused) for p in error.problems])
    except StartRefused as error:
        return refuse_start(error.problems)
    return 0


class _Ending:
    """Ends the process though a handler's task ignores that the closing loop cancels it."""

    def __enter__(self) -> Self:
        self._timer: threading.Timer | None = None
        return self

    def begin(self, code: int) -> None:
        """From now on ``END_LIMIT_S`` are left."""
        self._timer = threading.Timer(END_LIMIT_S, self._end, (code,))
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, code: int) -> None:
        end_process("inturn: a handler's call does not end, ending the process\n", code)


def end_process(why: str, code: int) -> NoReturn:
    """At once, also where ``why`` cannot be written: on a full disk, to a reader that is gone."""
    with suppress(OSError, ValueError):
        sys.stderr.write(why)
        sys.stderr.flush()
    os._exit(code)


def _calm_garbage_collection() -> None:
    """
    What is loaded now stays: it need not be looked through again and again.

    At Python's own threshold a collection comes every 700 new objects, which was a tenth of a
    worker's time and most of ingest's slowest hundredth.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _raise_file_limit() -> None:
    """
    Open as many files as the system allows, to a bound: shells and systemd give 1024 to begin
    with, for the sake of programs that use select(), and each connection is one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a container's or a mac's own bound
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def refuse_start(problems: tuple[str, ...] | list[str]) -> int:
    """Print what stands in the way of starting; the exit code for that."""
    lines = ["inturn cannot start:", *(f"  {problem}" for problem in problems)]
    sys.stderr.write("\n".join(lines) + "\n")
    return 2


def _leaves(group: BaseExceptionGroup[StartRefused]) -> list[StartRefused]:
    leaves: list[StartRefused] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


async def prepared(settings: Settings, redis_url: str, stop: asyncio.Event) -> Prepared | None:
    """
    Wait for Redis and check that it is fit; None: ``stop`` was set first.

    Raises:
        StartRefused: Redis is not fit, or its data was made with other settings.
    """
    async with open_pipe(redis_url, timeout_ms=CONNECT_TIMEOUT_MS, name="start") as pipe:
        while not stop.is_set():
            try:
                return await prepare_once(pipe, settings)
            except (BrokerUnavailable, BrokerRefused) as error:
                log.warning("redis.awaited", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_RETRY_S):
                    await stop.wait()
    return None


async def prepare_once(pipe: Pipe, settings: Settings) -> Prepared:
    """
    ``prepare``, and log users under the key of the data from now on.

    Raises:
        StartRefused: Redis is not fit, or its data was made with other settings.
        BrokerUnavailable, BrokerRefused: not now; try again later.
    """
    found = await prepare(pipe, settings)
    hash_users_with(found.log_key)
    return found


@asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, setting: str, *, is_shared: bool = False
) -> AsyncIterator[int]:
    """
    Serve a runner's application while inside; gives the port (of 0: the one that was free).

    ``is_shared``: other processes listen there, too, and the system gives each a part.

    Raises:
        StartRefused: the address cannot be had; names ``setting``.
    """
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024, reuse_port=is_shared or None)
        try:
            await site.start()
        except OSError as error:
            raise StartRefused([explain_address(error, host, port, setting)]) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def in_background(**works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run each while inside, as a task of that name; if one fails, what is inside ends, too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work, name=name) for name, work in works.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def watch_loop(limit_ms: int, observe_lag: Callable[[float], None]) -> None:
    """
    Beat for a watchdog thread, and measure how late the loop runs; until cancelled.

    The thread ends the process when the loop has not turned for ``limit_ms``: what it holds is
    then taken over by others, and a window that blocks the loop counts as an attempt. A process
    that was stopped as a whole (SIGSTOP) is not ended for that: the thread counts its own beats.
    """
    beat_s = limit_ms / 1000 / LOOP_BEAT_PARTS
    missed = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal missed
        while not ended.wait(beat_s):
            missed += 1
            if missed > LOOP_BEAT_PARTS:
                faulthandler.dump_traceback(all_threads=True)
                end_process(
                    "inturn: the loop stood still, ending the process\n", WATCHDOG_EXIT_CODE
                )

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    try:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(beat_s / 2)
            missed = 0
            observe_lag(max(0.0, time.monotonic() - began_s - beat_s / 2))
    finally:
        ended.set()
