"""Evolution's webhooks through a running ingest: secrets in URLs, echoes, several instances."""

from __future__ import annotations

from typing import Any

import pytest

from shared.settings import Settings
from tests.support.evolution_payloads import PHONE, key, text_item, webhook
from tests.support.ingest_server import IngestServer, serving

SECRET = "planted-webhook-secret"
PATH = "/webhooks/evolution/reception"
GROUP = "120363000000000001@g.us"


def settings(**instances: Any) -> Settings:
    """The connection ``reception``, and what else is behind it."""
    own: dict[str, Any] = {"provider": "evolution", "secret": SECRET}
    reception = own | instances.pop("reception", {})
    return Settings(instances={"reception": reception, **instances})


def kept_in(server: IngestServer) -> list[tuple[str, str | None]]:
    """Whose the kept messages are, and through which connection where that is not the same."""
    return [(message.instance, message.connection) for message in server.appender.messages]


@pytest.mark.parametrize("suffix", ["", "/messages-upsert"])
async def test_a_secret_in_the_url_is_proof_and_in_no_log(suffix: str) -> None:
    """Also where ``byEvents`` has written behind it; a wrong one is 401."""
    async with serving(settings()) as server:
        good = await server.post(f"{PATH}?secret={SECRET}{suffix}", webhook(text_item()))
        wrong = await server.post(f"{PATH}?secret=planted-wrong{suffix}", webhook(text_item()))
    assert (good.status, wrong.status) == (200, 401)
    assert len(server.appender.messages) == 1
    assert not any("planted" in str(line) for line in server.logs)


async def test_what_the_account_wrote_is_kept_as_no_message() -> None:
    """It is answered 200, with what became of it."""
    echo = webhook([text_item(of=key(fromMe=True, id="A1")), text_item(of=key(id="A2"))])
    async with serving(settings()) as server:
        answer = await server.post(PATH, echo, headers={"apikey": SECRET})
    assert answer.status == 200
    assert [message.message_id for message in server.appender.messages] == ["A2"]
    assert sum(answer.json["ignored"].values()) == 1


async def test_one_connection_serves_several_instances() -> None:
    """By Evolution's name of each; one that nobody has written down under that name."""
    several = {"serves_several": True}
    lab = {"provider": "evolution", "connection": "reception", "instance_name": "Lab 2"}
    async with serving(settings(reception=several, lab=lab)) as server:
        for number, name in enumerate(("Lab 2", "Desk 3", "reception")):
            said = webhook(text_item(of=key(id=f"A{number}")), instance=name)
            assert (await server.post(PATH, said, headers={"apikey": SECRET})).status == 200
    assert kept_in(server) == [
        ("lab", None),
        ("Desk 3", "reception"),
        ("reception", None),
    ]


async def test_a_connection_that_serves_one_keeps_its_name() -> None:
    """Evolution's name of it is of no consequence, unless it is written down and another's."""
    named = settings(reception={"instance_name": "Front"})
    for given, name, count in (
        (settings(), "Anything", 1),
        (named, "Front", 1),
        (named, "Anything", 0),
    ):
        async with serving(given) as server:
            said = webhook(text_item(), instance=name)
            answer = await server.post(PATH, said, headers={"apikey": SECRET})
            assert answer.status == 200
            assert kept_in(server) == [("reception", None)] * count
            assert answer.json["ignored"] == ({} if count else {"other_account": 1})


async def test_a_group_is_heard_where_groups_are_on() -> None:
    """The instance's own setting decides."""
    said = webhook(text_item(of=key(remoteJid=GROUP, participant=f"{PHONE}@s.whatsapp.net")))
    for groups, users in ((True, [f"{GROUP}/{PHONE}"]), (False, [])):
        async with serving(settings(reception={"groups": groups})) as server:
            answer = await server.post(PATH, said, headers={"apikey": SECRET})
            assert answer.status == 200
            assert [message.user for message in server.appender.messages] == users
