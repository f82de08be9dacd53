"""While a handler is at work "typing" is shown, and nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import aiohttp
import pytest

from consumer.courtesy import CALLS_MAX, CHANNELS_MAX, Courtesy, Typing
from consumer.sends import Channel
from shared.instance_settings import InstanceSettings
from shared.metrics import ConsumerMetrics
from shared.model import Message, Window
from shared.providers import Address, Provider
from shared.providers.evolution import Evolution
from tests.support.waiting import eventually
from tests.support.windows import make_window

Act = Callable[[Address], Awaitable[None]]


async def nothing(_address: Address) -> None:
    """The provider does as it is asked, at once."""


async def hang(_address: Address) -> None:
    """The provider never answers."""
    await asyncio.Event().wait()


class Shows(Evolution):
    """A provider that shows "typing" for so long, and remembers what it was asked."""

    name = "evolution"

    def __init__(self, typing_s: float = 0.001, act: Act = nothing) -> None:
        self.typing_s = typing_s
        self.shown: list[Address] = []
        self.hidden: list[Address] = []
        self._act = act

    async def show_typing(
        self, _session: aiohttp.ClientSession, _settings: InstanceSettings, address: Address
    ) -> None:
        """Remember it."""
        self.shown.append(address)
        await self._act(address)

    async def hide_typing(
        self, _session: aiohttp.ClientSession, _settings: InstanceSettings, address: Address
    ) -> None:
        """Remember it."""
        self.hidden.append(address)


class Mute(Shows):
    """A provider that shows nothing, and remembers what it was asked."""

    show_typing = Provider.show_typing  # type: ignore[assignment]


class Silent(Evolution):
    """A provider that cannot show anything."""

    show_typing = Provider.show_typing


@dataclass(slots=True)
class Bench:
    """A courtesy, and what it was asked for channels."""

    courtesy: Courtesy
    metrics: ConsumerMetrics
    asked: list[Message] = field(default_factory=list)

    def begin(self, window: Window | None = None) -> Typing | None:
        """A handler is called."""
        return self.courtesy.begin(window or make_window())

    def failures(self, reason: str) -> float:
        """``inturn_typing_failures_total``."""
        labels = {"provider": "evolution", "reason": reason}
        name = "inturn_typing_failures_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def courtesy_of(provider: Provider | None) -> AsyncIterator[Bench]:
    """One whose windows all have this channel; what it still shows ends with it."""
    metrics, asked = ConsumerMetrics(), []

    def channel_of(message: Message) -> Channel | None:
        asked.append(message)
        if provider is None:
            return None
        return Channel(provider=provider, settings=InstanceSettings(), resend=True)

    session = cast("aiohttp.ClientSession", None)
    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as tasks:
        yield Bench(Courtesy(tasks, session, channel_of, metrics), metrics, asked)
        for task in asyncio.all_tasks() - before:
            task.cancel()


async def test_typing_is_shown_again_and_again_until_the_end() -> None:
    """At once, with what it answers in the user's order; later ones say that they are not first."""
    provider = Shows()
    window = make_window(["one", "two"])
    async with courtesy_of(provider) as bench:
        typing = bench.begin(window)
        assert typing is not None
        await eventually(lambda: len(provider.shown) >= 3, "three shows")
        bench.courtesy.end(typing, text_follows=True)
        await eventually(lambda: typing.task is not None and typing.task.done(), "its end")
    first, second, *_ = provider.shown
    ids = tuple(entry.message.message_id for entry in window.in_sent_order())
    assert first.message_ids == ids
    assert (first.typing_shown, second.typing_shown) == (False, True)
    assert provider.hidden == []


async def test_where_no_text_follows_it_is_taken_back() -> None:
    """Silence, a retry, a rejection: nobody is about to answer any more."""
    provider = Shows()
    async with courtesy_of(provider) as bench:
        typing = bench.begin()
        assert typing is not None
        await eventually(lambda: len(provider.shown) >= 1, "a show")
        bench.courtesy.end(typing, text_follows=False)
        await eventually(lambda: len(provider.hidden) == 1, "it is hidden")


async def test_what_lasts_for_no_time_is_shown_once() -> None:
    """A provider that only marks messages as read."""
    provider = Shows(typing_s=0.0)
    async with courtesy_of(provider) as bench:
        typing = bench.begin()
        assert typing is not None
        await eventually(lambda: typing.task is not None and typing.task.done(), "its end")
    assert len(provider.shown) == 1


@pytest.mark.parametrize("shows", [True, False])
async def test_only_what_can_be_shown_is_taken_back(shows: bool) -> None:
    """Where no text comes; of a provider that shows nothing nothing is asked."""
    provider = Shows() if shows else Mute()
    channel = Channel(provider=provider, settings=InstanceSettings(), resend=True)
    address = Address(instance="shop", user="ann", reply_to=None)
    async with courtesy_of(provider) as bench:
        bench.courtesy.take_back(channel, address)
        await asyncio.sleep(0)
    assert provider.hidden == ([address] if shows else [])


@pytest.mark.parametrize("provider", [None, Silent()], ids=["no channel", "shows nothing"])
async def test_where_there_is_nothing_to_show_nothing_is_begun(provider: Provider | None) -> None:
    """And the channel is looked for once, not for every window."""
    async with courtesy_of(provider) as bench:
        assert [bench.begin() for _ in range(3)] == [None] * 3
        assert len(bench.asked) == 1
        assert bench.begin(make_window(instance="another")) is None
        assert len(bench.asked) == 2


async def test_what_is_known_of_channels_is_bounded() -> None:
    """Accounts that no setting names may be without number."""
    async with courtesy_of(None) as bench:
        for number in range(CHANNELS_MAX + 10):
            bench.begin(make_window(instance=f"account {number}"))
        assert len(bench.courtesy._channels) <= CHANNELS_MAX


async def test_a_failure_is_counted_and_shown_again() -> None:
    """A provider that breaks its word and raises ends no worker."""

    async def fail(_address: Address) -> None:
        raise RuntimeError("planted")

    provider = Shows(act=fail)
    async with courtesy_of(provider) as bench:
        bench.begin()
        await eventually(lambda: len(provider.shown) >= 2, "two shows")
        assert bench.failures("failed") >= 1


async def test_only_so_many_calls_are_made_at_a_time() -> None:
    """More are left out, not queued: they would come too late."""
    provider = Shows(act=hang)
    async with courtesy_of(provider) as bench:
        for number in range(CALLS_MAX + 5):
            bench.begin(make_window(instance=f"shop-{number}"))
        await eventually(lambda: bench.failures("busy") >= 5, "five are left out")
        assert len(provider.shown) == CALLS_MAX


async def test_one_instance_leaves_calls_to_the_others() -> None:
    """However slow its provider is: half of them, and then half of what is left."""
    provider = Shows(act=hang)
    async with courtesy_of(provider) as bench:
        for instance, calls in (("slow", CALLS_MAX // 2), ("slower", CALLS_MAX // 4)):
            for _ in range(CALLS_MAX):
                bench.begin(make_window(instance=instance))
            await asyncio.sleep(0)
            assert sum(shown.instance == instance for shown in provider.shown) == calls
        bench.begin(make_window(instance="shop"))
        await eventually(lambda: provider.shown[-1].instance == "shop", "its user is shown it")


async def test_a_slow_call_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its place is another's."""
    monkeypatch.setattr("consumer.courtesy.LIMIT_S", 0.001)
    provider = Shows(act=hang)
    async with courtesy_of(provider) as bench:
        bench.begin()
        await eventually(lambda: bench.failures("slow") >= 1, "it is given up")
