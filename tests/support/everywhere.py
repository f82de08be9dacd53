"""A user of whom something stands in every place that inturn has."""

from __future__ import annotations

from consumer.outbox import Watched
from shared.connect import Pipe
from shared.forget import Forgetter, Report
from shared.keys import Keys
from shared.mutes import Mutes
from shared.sent_ids import note_sent
from shared.tickets import Tickets
from tests.support.journey import INSTANCE, Journey

ANA = "491700000001"
BEN = "4917000000011"
"""Ana's number is the beginning of his."""


async def forget(pipe: Pipe, keys: Keys, user: str = ANA) -> Report:
    """As command and API do."""
    return await Forgetter(pipe, keys).forget(INSTANCE, user)


async def leave_everywhere(journey: Journey) -> None:
    """
    A user with something in every place: a window in hand and a message behind it, a reply that
    waits and one that is being sent, a dead letter, sent and silent windows, history, notes on
    persons, a mute, and two tickets.
    """
    pipe, keys, user = journey.pipe, journey.keys, journey.user
    whose = keys.of(INSTANCE, user)
    tickets = Tickets(pipe, keys.prefix)
    await tickets.enter(INSTANCE, user, key=f"{user}-1")
    await tickets.done(INSTANCE)
    await tickets.done(INSTANCE)
    await tickets.enter(INSTANCE, user, key=f"{user}-2")
    names = [f"{user}-m{number}" for number in range(7)]
    await journey.say(*names)
    await journey.read()
    await journey.start(1)
    await journey.be_silent()
    await journey.start(1)
    sent = await journey.answer(f"reply to {user}, sent")
    await journey.end_reply(sent, await journey.begin_send(sent), "sent")
    await journey.start(1)
    await journey.give_up(f"ValueError: {user} cannot be read")
    await journey.start(1)
    await journey.answer(f"reply to {user}, waits")
    await journey.start(1)
    on_its_way = await journey.answer(f"reply to {user}, on its way")
    watched = Watched((INSTANCE, user), 60_000)
    await journey.outbox.send(journey.epoch, on_its_way, None, journey.new_token(), watched)
    await note_sent(pipe, whose, (INSTANCE, user), [f"{user}-sent"])
    await journey.start(1)
    await journey.postpone(60_000, f"ValueError: {user} again")
    await pipe.call("RPUSH", whose.history(INSTANCE, user), f"said by {user}")
    await pipe.call("HSET", whose.human(INSTANCE, user), f"{user:>12.12}", "1760000000000")
    await Mutes(pipe, keys).mute(INSTANCE, user, 60_000)
