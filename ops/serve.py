"""The services of ``inturn up``: ingest and consumer in one process."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from consumer.service import serve_consumer
from ingest.auth import api_token_of
from ingest.playground import is_playground_on
from ingest.service import serve_ingest
from shared.home import home_folder, note_services
from shared.metrics import ConsumerMetrics
from shared.service import prepared, run_configured
from shared.settings import Settings

log = structlog.get_logger()

PLAYGROUND = """\
See what it does: write a few short messages on

  {base}/playground

"""

EXAMPLE = """\
inturn listens on {base}, the consumer's metrics are on {consumer}/metrics
Who waits, and why: {base}/console
{playground}Try it by hand, three times within {wait_s:g} seconds:

  curl -s {base}/api/v1/messages{proof} -H 'content-type: application/json' \\
    -d '{{"instance": "demo", "user": "alice", "text": "hello"}}'

and see what became of it:

  curl -s {base}/api/v1/conversations/demo/alice{proof}
"""


def serve_up(*, embeds_redis: bool) -> int:
    """Ingest and consumer until SIGTERM: the child of ``inturn up``."""
    return run_configured(partial(_up, embeds_redis=embeds_redis))


def render_example(settings: Settings, port: int, *, has_playground: bool) -> str:
    """Where ``up`` listens, and commands that work as they stand; the token is not shown."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    token = ' -H "authorization: Bearer $INTURN_API_TOKEN"'
    base = f"http://{host}:{port}"
    return EXAMPLE.format(
        base=base,
        playground=PLAYGROUND.format(base=base) if has_playground else "",
        consumer=f"http://{host}:{settings.consumer_port}",
        wait_s=settings.max_wait_ms / 1000,
        proof=token if api_token_of(settings) else "",
    )


async def _up(
    settings: Settings, redis_url: str, stop: asyncio.Event, *, embeds_redis: bool
) -> None:
    """
    Ingest stops taking messages first; what it took, the worker may still finish.

    Ingest need not wait for Redis where it has a spool; the consumer does. The store is looked
    at once for both.
    """
    metrics = ConsumerMetrics()

    def announce(port: int) -> None:
        note_services(home_folder(), port=port, consumer_port=settings.consumer_port)
        has_playground = is_playground_on(settings, embeds_redis=embeds_redis)
        print(render_example(settings, port, has_playground=has_playground), flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve_ingest(
                settings,
                redis_url,
                stop,
                say=log.info,
                on_ready=announce,
                beside=[metrics],
                embeds_redis=embeds_redis,
            ),
            name="ingest",
        )
        found = await prepared(settings, redis_url, stop)
        if found is not None:
            await serve_consumer(settings, redis_url, found, stop, say=log.info, shown=metrics)
