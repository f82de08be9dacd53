"""``inturn forget``, ``inturn spool forget`` and ``POST /api/v1/forget``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from ingest.forget import PATH, ForgetApi
from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.record import pack_record
from ingest.spool.spool import now_ms
from shared.connect import Pipe
from shared.forget import NOT_REACHED
from shared.keys import Keys
from shared.settings import Settings
from shared.wire import encode_message
from tests.support.deployment import deployment
from tests.support.documented import DOCUMENT
from tests.support.ingest_server import serving
from tests.support.pipes import running_pipe
from tests.support.raw_contents import raw_contents
from tests.support.redis_users import as_user
from tests.support.shell import created, run
from tests.support.spooling import INSTANCE, message
from tests.support.waiting import eventually

ANA = "491700000001"


@pytest.fixture
def shell(shell: pytest.MonkeyPatch, client: Redis, prefix: str) -> Keys:
    """An operator's, in an empty folder, with data that some service has created."""
    return created(client, prefix, 1)


def say(client: Redis, keys: Keys) -> None:
    """A message of Ana's, in Redis."""
    value: Any = encode_message(message(1, ANA, "secret"))
    client.xadd(keys.of(INSTANCE, ANA).stream(INSTANCE), {"m": value})


def spool(keys: Keys, folder: Path) -> Path:
    """Another one, on this machine's disk, in the folder of a process that is at work."""
    root = folder / ".inturn" / "spool"
    root.mkdir(parents=True)
    held = HeldFolder.create(root, keys.prefix)
    file = held.path / "000000000001.spool"
    record = pack_record(encode_spooled(Spooled(message=message(2, ANA, "secret"), at=1)))
    file.write_bytes(record)
    return file


def test_a_command_deletes_and_says_what(shell: Keys, client: Redis, tmp_path: Path) -> None:
    """How much of what went, and what is not in inturn's hands; nobody's name."""
    say(client, shell)
    file = spool(shell, tmp_path)
    result = run("forget", INSTANCE, ANA, "--yes")
    assert result.exit_code == 0, result.output
    assert "  1 messages that were not finished\n" in result.output
    assert "  1 records overwritten in the spool of this machine\n" in result.output
    assert all(words in result.output for words in NOT_REACHED)
    assert ANA not in result.output
    assert client.xlen(shell.of(INSTANCE, ANA).stream(INSTANCE)) == 0
    assert b"secret" not in file.read_bytes()
    assert "nothing was known" in run("forget", INSTANCE, ANA, "--yes").output


def test_a_command_asks_before(shell: Keys, client: Redis) -> None:
    """What is deleted for ever is not deleted by a slip."""
    say(client, shell)
    assert run("forget", INSTANCE, ANA, answer="n\n").exit_code == 1
    assert client.xlen(shell.of(INSTANCE, ANA).stream(INSTANCE)) == 1
    assert run("forget", INSTANCE, ANA, answer="y\n").exit_code == 0
    assert client.xlen(shell.of(INSTANCE, ANA).stream(INSTANCE)) == 0


def test_a_command_says_whose_disk_is_not_known_to_be_clean(shell: Keys, client: Redis) -> None:
    """An ingest process that is away: exit code 1, and its name."""
    now = now_ms()
    client.hset(shell.heeded, "far:7:abc", f"0-0 {now - 3_600_000}")
    result = run("forget", INSTANCE, ANA, "--yes", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ingest"] == {"heeded": 0, "awaited": [], "silent": ["far:7:abc"]}
    assert told["forgotten"]["messages"] == told["spooled_here"] == 0
    text = run("forget", INSTANCE, ANA, "--yes").output
    assert "NOT YET: ingest process far:7:abc is away" in text


def test_a_disk_alone(shell: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis: what stands on this machine is overwritten, whoever works on it."""
    monkeypatch.setenv("INTURN_REDIS_URL", "redis://127.0.0.1:1/0")
    file = spool(shell, tmp_path)
    result = run("spool", "forget", INSTANCE, ANA)
    assert result.output == "1 records overwritten in the spool of this machine\n"
    assert b"secret" not in file.read_bytes()
    assert json.loads(run("spool", "forget", INSTANCE, ANA, "--json").output)["spooled_here"] == 0


@pytest.mark.parametrize("command", [("forget", "--yes"), ("spool", "forget")])
def test_a_name_that_nobody_can_have(shell: Keys, command: tuple[str, ...]) -> None:
    """Is a mistake, and deletes nothing."""
    result = run(*command, "", " ")
    assert result.exit_code == 2
    assert "INSTANCE" in result.output
    assert "USER" in result.output


async def test_a_request_is_answered_when_a_worker_has_done_it(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: AsyncRedis
) -> None:
    """With ingest's rights, which let it delete nothing; as the document says it."""
    async with (
        deployment(redis_url, prefix, max_wait_ms=60_000) as shop,
        shop.worker(),
        running_pipe(as_user(redis_url, "ingest")) as ours,
        serving(Settings(), routes=ForgetApi(ours, shop.keys).routes()) as server,
    ):
        await shop.say(ANA, "secret", "secret too")
        answer = await server.post(PATH, {"instance": INSTANCE, "user": ANA})
    assert answer.status == 200
    assert answer.json["forgotten"]["messages"] == 2
    assert ANA.encode() not in answer.body
    validator(200).validate(answer.json)
    found = await raw_contents(redis_client, prefix)
    assert [key for key, raw in found.items() if ANA.encode() in raw or b"secret" in raw] == []


async def test_a_request_without_a_worker_is_not_lost(
    redis_url: str, prefix: str, pipe: Pipe
) -> None:
    """202: the next worker does it, whoever has asked is gone by then."""
    async with deployment(redis_url, prefix) as shop:
        await shop.say(ANA, "secret")
        routes = ForgetApi(pipe, shop.keys, wait_s=0.2).routes()
        async with serving(Settings(), routes=routes) as server:
            answer = await server.post(PATH, {"instance": INSTANCE, "user": ANA})
        assert answer.status == 202
        validator(202).validate(answer.json)
        assert await shop.backlog() == 1

        async def is_over() -> bool:
            return not await pipe.call("HLEN", shop.keys.wishes)

        async with shop.worker():
            await eventually(is_over, "a fulfilled wish")
        assert (await shop.backlog(), await shop.outbox()) == (0, [])


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "invalid_json"),
        ([], "invalid_field"),
        ({}, "missing_field"),
        ({"instance": INSTANCE}, "missing_field"),
        ({"instance": INSTANCE, "user": None}, "missing_field"),
        ({"instance": INSTANCE, "user": 7}, "invalid_field"),
        ({"instance": INSTANCE, "user": " "}, "invalid_field"),
        ({"instance": "a\nb", "user": ANA}, "invalid_field"),
        ({"instance": INSTANCE, "user": ANA, "all": True}, "unknown_field"),
    ],
)
async def test_a_wrong_request_asks_for_nothing(
    pipe: Pipe, keys: Keys, body: Any, code: str
) -> None:
    """400 with its reason, and no wish is written down."""
    async with serving(Settings(), routes=ForgetApi(pipe, keys).routes()) as server:
        answer = await server.post(PATH, body)
    assert (answer.status, answer.json["error"]["code"]) == (400, code)
    assert await pipe.call("EXISTS", keys.wishes) == 0


def validator(status: int) -> Any:
    """Of what the document says of an answer."""
    answer = DOCUMENT["paths"][PATH]["post"]["responses"][str(status)]
    schema = answer["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})
