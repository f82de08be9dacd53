"""``POST /webhooks/evolution``: whose webhook it is, who may send it, what becomes of it."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.settings import MiB, Settings
from tests.support.evolution_payloads import INSTANCE, item, text_item, webhook
from tests.support.ingest_server import IngestServer, serving

HOOK = "/webhooks/evolution"
SECRET = "s3cret"
TEXT = webhook(text_item())


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server whose instance ``Front Desk`` has two secrets and ``Open`` says it has none."""
    settings = Settings(
        instances={
            INSTANCE: {"provider": "evolution", "secret": ["s3cret", "rotated"]},
            "Open": {"secret": "none"},
        }
    )
    async with serving(settings) as running:
        yield running


def with_key(secret: str = SECRET) -> dict[str, str]:
    """Headers as Evolution is configured to send them."""
    return {"apikey": secret}


@pytest.mark.parametrize(
    "path",
    [
        HOOK,
        f"{HOOK}/",
        f"{HOOK}/messages-upsert",
        f"{HOOK}/Front%20Desk",
        f"{HOOK}/Front%20Desk/",
        f"{HOOK}/Front%20Desk/messages-upsert",
        f"{HOOK}/Front%20Desk/an-event-of-tomorrow",
        f"{HOOK}/messages-upsert/messages-upsert",
    ],
)
async def test_every_form_of_the_path_reaches_its_instance(server: IngestServer, path: str) -> None:
    """With or without instance and event suffix, the message is the payload's instance's."""
    answer = await server.post(path, TEXT, headers=with_key())

    assert answer.status == 200
    assert answer.json["accepted"][0]["entry_id"]
    [message] = server.appender.messages
    assert (message.instance, message.text, message.provider) == (INSTANCE, "hi", "evolution")


@pytest.mark.parametrize("path", ["/webhooks/telegram/Front%20Desk/event", f"{HOOK}/a/b/c"])
async def test_a_path_that_means_nothing_is_not_found(server: IngestServer, path: str) -> None:
    """A second segment where a provider appends no event is 404, and nothing is stored."""
    answer = await server.post(path, TEXT, headers=with_key())

    assert answer.status == 404
    assert server.appender.messages == []


async def test_an_unknown_provider_is_not_found(server: IngestServer) -> None:
    """404 names what is unknown and what is known, before the body is read."""
    answer = await server.post("/webhooks/telegraph/sales", b"{")

    assert answer.status == 404
    assert answer.error.startswith("unknown_provider: provider")
    assert "evolution" in answer.error


async def test_a_wrong_method_is_refused(server: IngestServer) -> None:
    """A GET of a webhook is 405 in the form of every other error."""
    answer = await server.request("GET", HOOK)

    assert answer.status == 405
    assert "method_not_allowed" in answer.error


@pytest.mark.parametrize("secret", ["s3cret", "rotated"])
async def test_each_of_the_rotating_secrets_vouches(server: IngestServer, secret: str) -> None:
    """While a secret is replaced, the old and the new one are both good."""
    assert (await server.post(HOOK, TEXT, headers=with_key(secret))).status == 200


@pytest.mark.parametrize("path", [HOOK, f"{HOOK}/Front%20Desk", f"{HOOK}/Front%20Desk/call"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        with_key("wrong"),
        with_key(""),
        with_key("none"),
        {"Authorization": "Bearer wrong"},
        [("apikey", "s3cret"), ("apikey", "s3cret")],
        [("apikey", "s3cret"), ("Authorization", "x"), ("Authorization", "x")],
    ],
)
async def test_what_no_secret_vouches_for_is_refused(
    server: IngestServer, path: str, headers: Any
) -> None:
    """An instance with secrets is 401 without one, also on this machine, and always the same."""
    answer = await server.post(path, TEXT, headers=headers)

    assert answer.status == 401
    assert answer.error == "unauthorized: unauthorized"
    assert server.appender.messages == []
    assert server.worst_logged() == []


async def test_a_bad_body_of_a_stranger_is_unauthorized(server: IngestServer) -> None:
    """Who is not vouched for does not learn whether the body was good."""
    answer = await server.post(f"{HOOK}/Front%20Desk", b"{", headers=with_key("wrong"))

    assert answer.status == 401


async def test_the_paths_instance_is_the_one_that_is_verified(server: IngestServer) -> None:
    """A payload that names an open instance does not get past the secrets of the path's."""
    payload = webhook(text_item(), instance="Open")

    assert (await server.post(f"{HOOK}/Front%20Desk", payload)).status == 401
    answer = await server.post(f"{HOOK}/Front%20Desk", payload, headers=with_key())

    assert answer.status == 200
    assert [message.instance for message in server.appender.messages] == [INSTANCE]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Host": "bot.example.org"},
        {"Host": "localhost.example.org"},
        {"Origin": "https://evil.example"},
    ],
)
async def test_without_a_secret_only_this_machine_is_served(
    server: IngestServer, headers: dict[str, str]
) -> None:
    """An instance without secret takes local requests, and none that came through a tunnel."""
    payload = webhook(text_item(), instance="Unnamed")

    assert (await server.post(HOOK, payload)).status == 200
    assert (await server.post(HOOK, payload, headers=headers)).status == 401
    assert len(server.appender.messages) == 1


async def test_a_written_none_opens_an_instance_and_warns(server: IngestServer) -> None:
    """``secret = "none"`` serves everybody, and the start says so."""
    payload = webhook(text_item(), instance="Open")

    answer = await server.post(HOOK, payload, headers={"X-Forwarded-For": "203.0.113.9"})

    assert answer.status == 200
    warnings = [line for line in server.logs if line["log_level"] == "warning"]
    assert [line["instance"] for line in warnings] == ["Open"]


@pytest.mark.parametrize("given", [with_key(), {"Authorization": f"Bearer {SECRET}"}])
async def test_a_secret_is_no_proof_at_another_providers_door(
    server: IngestServer, given: dict[str, str]
) -> None:
    """An instance's secret vouches in its provider's way only, not as a token elsewhere."""
    message = {"user": "u", "text": "hi", "message_id": "m"}

    answer = await server.post("/webhooks/standard/Front%20Desk", message, headers=given)

    assert (answer.status, answer.error) == (401, "unauthorized: unauthorized")
    assert server.appender.messages == []


@pytest.mark.parametrize("query", ["", "?secret=s3cret"])
async def test_the_path_of_an_instance_behind_a_connection_is_its_own(query: str) -> None:
    """Whichever way the path is looked up, the connection's secret counts, and the path names."""
    instances: dict[str, Any] = {
        "main": {"provider": "evolution", "secret": SECRET},
        "second": {"connection": "main"},
    }
    headers = {} if query else with_key()
    async with serving(Settings(instances=instances)) as server:
        path = f"{HOOK}/second{query}"
        for named in ("Somebody", "main"):
            payload = webhook(text_item(), instance=named)
            assert (await server.post(path, payload, headers=headers)).status == 200
        wrong = path.replace(SECRET, "wrong")
        assert (await server.post(wrong, TEXT, headers=with_key("wrong"))).status == 401

        assert [message.instance for message in server.appender.messages] == ["second", "main"]


async def test_what_is_no_message_is_answered_and_counted(server: IngestServer) -> None:
    """Other events are 200, or Evolution would send them again, and are counted by kind."""
    event = webhook({"state": "open"}, event="connection.update")

    answer = await server.post(f"{HOOK}/connection-update", event, headers=with_key())

    assert answer.status == 200
    assert answer.json == {"accepted": [], "ignored": {"connection": 1}}
    text = server.metrics.render().decode()
    labels = '{kind="connection",provider="evolution"}'
    assert f"inturn_messages_ignored_total{labels} 1.0" in text


@pytest.mark.parametrize(
    "body, named",
    [
        (b"", "invalid_json"),
        (b"not json", "invalid_json"),
        (b"[" * 3000, "json_too_deep"),
        ({"instance": INSTANCE}, "event"),
        (webhook({"key": 5}), "data"),
    ],
)
async def test_a_malformed_webhook_is_refused_by_field(
    server: IngestServer, caplog: pytest.LogCaptureFixture, body: Any, named: str
) -> None:
    """400 names the field; nothing is stored, and nothing above a warning is logged."""
    path = f"{HOOK}/Front%20Desk" if named in ("invalid_json", "json_too_deep") else HOOK

    answer = await server.post(path, body, headers=with_key())

    assert answer.status == 400
    assert named in answer.error
    assert server.appender.messages == []
    assert server.worst_logged() == []
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


@pytest.mark.parametrize("body", [[], {"event": "messages.upsert", "data": {}}])
async def test_a_webhook_that_names_no_instance_finds_none(server: IngestServer, body: Any) -> None:
    """Neither the path nor the payload says whose it is: 404, which no provider sends again."""
    answer = await server.post(HOOK, body, headers=with_key())

    assert answer.status == 404
    assert answer.error.startswith("unknown_instance")
    assert server.appender.messages == []


async def test_a_photo_of_ten_megabytes_is_a_message(server: IngestServer) -> None:
    """Media that is too large to keep is cut out; the message is one like any other."""
    photo = base64.b64encode(bytes(10 * MiB)).decode()
    image = {"imageMessage": {"mimetype": "image/jpeg", "caption": "look"}, "base64": photo}

    answer = await server.post(HOOK, webhook(item(image, "imageMessage")), headers=with_key())

    assert answer.status == 200
    [message] = server.appender.messages
    assert message.text == "look"
    assert message.media is not None
    assert message.media.omitted
    assert message.media.data is None


async def test_many_messages_of_one_webhook_are_limited(server: IngestServer) -> None:
    """More than 1000 messages in one webhook are 413, and none of them is stored."""
    items = [text_item() for _ in range(1001)]

    answer = await server.post(HOOK, webhook(items), headers=with_key())

    assert answer.status == 413
    assert "messages" in answer.error
    assert server.appender.messages == []


async def test_logs_hold_no_path_and_no_secret(server: IngestServer) -> None:
    """A secret in a header or a query is in no line of the log."""
    await server.post(f"{HOOK}?token=planted", TEXT, headers=with_key("planted"))

    assert not any("planted" in str(line) for line in server.logs)
    assert {line.get("route") for line in server.logs} >= {"/webhooks/{provider}"}


@pytest.mark.parametrize("general", [True, False])
@pytest.mark.parametrize("own", [True, False, None])
async def test_an_instances_own_setting_decides_what_is_stored(
    *, general: bool, own: bool | None
) -> None:
    """``store_raw`` of the instance counts where it is set, else the general one."""
    instances = {INSTANCE: {"provider": "evolution", "secret": SECRET, "store_raw": own}}
    async with serving(Settings(store_raw=general, instances=instances)) as server:
        for path in (HOOK, f"{HOOK}/Front%20Desk"):
            assert (await server.post(path, TEXT, headers=with_key())).status == 200

        expected = general if own is None else own
        assert [message.raw is not None for message in server.appender.messages] == [expected]
