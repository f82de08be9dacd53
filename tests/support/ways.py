"""
Each way that a window may go from its start on, up to where nothing but a person moves it.

    await WAYS["sent"](journey)

The journey has just started a window; what is left of it is what such a window leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.dead_letters import DeadLetters
from shared.mutes import Mutes
from shared.unsent import DiscardCode, ReplyId, Unsent
from tests.support.journey import Journey

Way = Callable[[Journey], Awaitable[None]]


def _ending(outcome: str) -> Way:
    async def end(journey: Journey) -> None:
        await journey.end(outcome)

    return end


async def _muted_meanwhile(journey: Journey) -> None:
    """Somebody mutes the user while the handler makes its answer."""
    mutes = Mutes(journey.pipe, journey.keys)
    await mutes.mute(journey.instance, journey.user, 60_000)
    await journey.answer_muted("too late")
    await mutes.unmute(journey.instance, journey.user)


async def _waiting(journey: Journey) -> None:
    await journey.answer("hello")


async def _held(journey: Journey) -> None:
    reply_id = await journey.answer("hello")
    token = await journey.begin_send(reply_id)
    await journey.outbox.unsend(reply_id, token, 0, held="loop limit")


async def _sent(journey: Journey) -> None:
    reply_id = await journey.answer("hello", "again")
    token = await journey.begin_send(reply_id)
    await journey.end_reply(reply_id, token, "sent")


async def _kept(journey: Journey) -> None:
    reply_id = await journey.answer("hello")
    await journey.end_reply(reply_id, None, "kept")


async def _discarded(journey: Journey) -> None:
    unsent = Unsent(journey.pipe, journey.keys)
    placed = ReplyId(await journey.answer("hello"), journey.partition)
    assert await unsent.discard(placed) is DiscardCode.DISCARDED


async def _dead(journey: Journey) -> None:
    await journey.give_up("HTTP 400")


async def _dead_discarded(journey: Journey) -> None:
    letter_id = await journey.give_up("HTTP 400")
    assert await DeadLetters(journey.pipe, journey.keys).discard(letter_id)


def _replayed(way: Way) -> Way:
    async def replay(journey: Journey) -> None:
        """Its attempts count afresh, and the first of them fails."""
        await journey.replay(await journey.give_up("HTTP 400"))
        unread, journey.unread = journey.unread, []
        await journey.read()
        await journey.start(1)
        await journey.postpone(0, "HTTP 500")
        await journey.start_again()
        await way(journey)
        journey.unread = unread + journey.unread

    return replay


_PLAIN: dict[str, Way] = {
    **{outcome: _ending(outcome) for outcome in ("silent", "muted", "with_human", "missing")},
    "muted meanwhile": _muted_meanwhile,
    "waiting": _waiting,
    "held": _held,
    "sent": _sent,
    "kept": _kept,
    "discarded": _discarded,
    "dead": _dead,
    "dead, discarded": _dead_discarded,
}

WAYS: dict[str, Way] = {
    **_PLAIN,
    **{f"replayed, {name}": _replayed(way) for name, way in _PLAIN.items()},
    "replayed twice": _replayed(_replayed(_sent)),
}
