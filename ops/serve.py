"""What the service commands run: settings, logs, Redis, and the services until a signal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from consumer.service import serve_consumer
from ingest.service import serve_ingest
from shared.errors import StartRefused
from shared.log import configure_logging
from shared.preflight import Prepared
from shared.running import home_folder, note_services
from shared.service import prepared, refuse_start, run_service
from shared.settings import Settings, load_settings

Serve = Callable[[Settings, str, Prepared, asyncio.Event], Awaitable[None]]

EXAMPLE = """\
inturn listens on {base}, consumer metrics on {consumer}
try it, three times within eight seconds:

  curl -s {base}/api/v1/messages -H 'content-type: application/json' \\
    -d '{{"instance": "demo", "user": "alice", "text": "hello"}}'

and see what became of it:

  curl -s {base}/api/v1/conversations/demo/alice
"""


def serve_up() -> int:
    """Ingest and consumer in one process: the child of ``inturn up``."""
    return _serve(_up)


def serve_ingest_only() -> int:
    """The ingest service by itself."""
    return _serve(_ingest)


def serve_consumer_only() -> int:
    """The consumer service by itself."""
    return _serve(_consumer)


def _serve(serve: Serve) -> int:
    try:
        settings = load_settings()
        url = settings.redis_url
        if url is None:
            raise StartRefused(["INTURN_REDIS_URL: is not set, and no inturn up runs here"])
    except StartRefused as error:
        return refuse_start(error.problems)
    configure_logging(settings.log_level, settings.log_format)
    redis_url = url.get_secret_value()

    async def main(stop: asyncio.Event) -> None:
        found = await prepared(settings, redis_url, stop)
        if found is not None:
            configure_logging(settings.log_level, settings.log_format, user_key=found.log_key)
            await serve(settings, redis_url, found, stop)

    return run_service(main)


async def _up(settings: Settings, redis_url: str, found: Prepared, stop: asyncio.Event) -> None:
    def announce(port: int) -> None:
        note_services(home_folder(), port=port, consumer_port=settings.consumer_port)
        base = f"http://{settings.host}:{port}"
        consumer = f"http://{settings.host}:{settings.consumer_port}"
        print(EXAMPLE.format(base=base, consumer=consumer), flush=True)

    consumer_ready, ingest_stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve_consumer(settings, redis_url, found.keys, stop, consumer_ready),
            name="consumer",
        )
        group.create_task(
            serve_ingest(
                settings,
                redis_url,
                found.keys,
                ingest_stop,
                accepted_level="info",
                on_ready=announce,
            ),
            name="ingest",
        )
        await stop.wait()
        ingest_stop.set()


async def _ingest(settings: Settings, redis_url: str, found: Prepared, stop: asyncio.Event) -> None:
    await serve_ingest(settings, redis_url, found.keys, stop)


async def _consumer(
    settings: Settings, redis_url: str, found: Prepared, stop: asyncio.Event
) -> None:
    await serve_consumer(settings, redis_url, found.keys, stop, asyncio.Event())


if __name__ == "__main__":
    os._exit(serve_up())
