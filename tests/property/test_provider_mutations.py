"""Whatever stands in a webhook, ingest answers: kept, ignored or refused; never an error of its."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from pathlib import Path

import pytest

from ingest.echoes import HUMAN, OURS, UNKNOWN
from shared.model import Message
from shared.providers.registry import PROVIDERS
from shared.wire import decode_message, encode_message
from tests.support.door_server import knock, serving_door, signed
from tests.support.doors import Door, Hook, doors
from tests.support.fault_bench import seeded
from tests.support.ingest_server import IngestServer
from tests.support.mutations import Mutator

MUTATIONS = 10_000
"""Over all providers together."""

FIXTURES = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers"

DOORS = doors()
MUTATIONS_PER_DOOR = -(-MUTATIONS // len(DOORS))
KNOWN_ANSWERS = {200, 400, 401, 404, 413, 415}
AT_ONCE = 16


def webhooks_of(door: Door) -> list[Hook]:
    """One of each sort: the project's own, and the real ones where they are beside it."""
    plain = door.text("hello", 1)
    own = [plain, *door.burst()[0], *door.others()]
    real = sorted((FIXTURES / door.provider).glob("*.json"))
    if door.provider == "twilio":
        real = sorted((FIXTURES / door.provider).glob("*.txt"))
    return own + [Hook(body=path.read_bytes().strip(), headers=plain.headers) for path in real]


def test_every_provider_has_a_door() -> None:
    """No provider is left out."""
    assert {door.provider for door in DOORS} == PROVIDERS.keys()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: str(door.provider))
async def test_no_mutation_is_an_error(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """
    Ten thousand mutated webhooks, signed as they are: no 5xx, nothing logged as an error.

    What is kept can be written and read again, and holds none of the instance's secrets.
    """
    chance = seeded()
    mutator, hooks = Mutator(chance), webhooks_of(door)
    statuses: Counter[int] = Counter()
    async with serving_door(door, media_inline_bytes=chance.choice([0, 100, 262_144])) as server:
        for _ in range(MUTATIONS_PER_DOOR // AT_ONCE + 1):
            mutated = [mutator.mutate(chance.choice(hooks)) for _ in range(AT_ONCE)]
            statuses.update(await answers_to(server, door, mutated, chance))
            assert_kept_well(server)
            assert not server.worst_logged(), mutated
    assert statuses.keys() <= KNOWN_ANSWERS, statuses
    assert statuses[200] > MUTATIONS_PER_DOOR / 5, f"void, nearly all were refused: {statuses}"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def answers_to(
    server: IngestServer, door: Door, hooks: list[Hook], chance: random.Random
) -> list[int]:
    """The statuses; what a provider ignores is counted as a kind that it may count."""

    async def answer_to(hook: Hook) -> int:
        ready = hook if chance.random() < 0.02 else signed(door, hook)
        answer = await knock(server, door, ready)
        assert answer.status < 500, hook
        if answer.status == 200 and answer.headers["Content-Type"] == "application/json":
            known = PROVIDERS[door.provider].ignored_kinds | {OURS, HUMAN, UNKNOWN}
            assert answer.json.get("ignored", {}).keys() <= known
        return answer.status

    return await asyncio.gather(*map(answer_to, hooks))


def assert_kept_well(server: IngestServer) -> None:
    """Every message that came: as Redis would take it, and as a worker would read it."""
    for message in server.appender.messages:
        assert_writable(message)
    server.appender.messages.clear()


def assert_writable(message: Message) -> None:
    """It is read as it was written, names its user, and holds no ``planted-`` secret."""
    stored = encode_message(message)
    read = decode_message(message.instance, stored)
    assert (read.message_id, read.user, read.text) == (
        message.message_id,
        message.user,
        message.text,
    )
    assert message.message_id
    assert message.user
    assert b"planted" not in stored
