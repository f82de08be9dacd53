"""While an answer is made, its user sees "typing", and that the messages were read."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings
from shared.providers import Address, evolution_send
from shared.providers.evolution import Evolution
from shared.providers.evolution_send import TYPING_MS
from tests.support.fake_evolution import (
    ADDRESS,
    TOKEN,
    answering,
    channel,
    serving,
)


async def shown_to(settings: InstanceSettings, address: Address, *, hides: bool = False) -> None:
    """One ``show_typing``, or ``hide_typing``, in a session of its own."""
    async with aiohttp.ClientSession() as session:
        show = Evolution().hide_typing if hides else Evolution().show_typing
        await show(session, settings, address)


async def test_what_is_answered_is_marked_as_read_and_typing_is_shown() -> None:
    """Both calls are what Evolution's schemas ask for, with the whole jid."""
    address = replace(ADDRESS, message_ids=("A1", "A2"))
    async with serving(answering(201, {})) as (fake, settings):
        await shown_to(settings, address)
    marks = [{"id": each, "remoteJid": ADDRESS.reply_to, "fromMe": False} for each in ("A1", "A2")]
    typing = {"number": ADDRESS.reply_to, "presence": "composing", "delay": 7500}
    assert [(asked["method"], asked["path"], asked["apikey"]) for asked in fake.asked] == [
        ("POST", "/chat/markMessageAsRead/Front%20Desk%2F2", TOKEN),
        ("POST", "/chat/sendPresence/Front%20Desk%2F2", TOKEN),
    ]
    assert [asked["body"] for asked in fake.asked] == [{"readMessages": marks}, typing]


async def test_typing_ends_before_it_is_shown_again() -> None:
    """Evolution says "paused" by itself: it must not take back what the next call shows."""
    assert 0.8 * 1000 * Evolution.typing_s > TYPING_MS


@pytest.mark.parametrize(
    "address",
    [
        replace(ADDRESS, message_ids=("A1",), typing_shown=True),
        replace(ADDRESS, message_ids=()),
        replace(ADDRESS, message_ids=("A1",), reply_to="120363000000000001@g.us"),
        replace(ADDRESS, message_ids=("A1",), reply_to=None),
    ],
)
async def test_only_direct_chats_are_marked_and_only_once(address: Address) -> None:
    """Typing is shown in all of them."""
    async with serving(answering(201, {})) as (fake, settings):
        await shown_to(settings, address)
    (asked,) = fake.asked
    assert asked["body"]["presence"] == "composing"
    assert asked["body"]["number"] == (address.reply_to or address.user)


async def test_typing_is_taken_back() -> None:
    """Where no text follows."""
    async with serving(answering(201, {})) as (fake, settings):
        await shown_to(settings, ADDRESS, hides=True)
    paused = {"number": ADDRESS.reply_to, "presence": "paused", "delay": 0}
    assert [asked["body"] for asked in fake.asked] == [paused]


async def test_a_courtesy_that_fails_is_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, silence and a missing channel: nothing is raised, nothing is waited for."""
    monkeypatch.setattr(evolution_send, "_COURTESY_S", 0.05)
    release = asyncio.Event()

    async def silent() -> web.StreamResponse:
        await release.wait()
        return web.Response()

    for respond in (answering(500), answering(400), silent):
        async with asyncio.timeout(10), serving(respond) as (_, settings):
            await shown_to(settings, replace(ADDRESS, message_ids=("A1",)))
            release.set()
    await shown_to(InstanceSettings(), ADDRESS)
    await shown_to(channel(f"http://127.0.0.1:{unused_port()}"), ADDRESS)
