"""How replies of an instance leave: its provider, if it has what the provider needs."""

from __future__ import annotations

from consumer.sends import Channel
from shared.channel import channel_provider
from shared.model import Message
from shared.settings import Settings
from shared.wire import OutboxReply


def channel_of(settings: Settings, reply: OutboxReply | Message) -> Channel | None:
    """The channel of a reply, or of one to a message; None: it is kept to be read by the API."""
    provider = channel_provider(settings, reply)
    if provider is None:
        return None
    own = settings.instance(reply.instance, reply.connection)
    policy = own.outbox_policy or settings.outbox_policy
    return Channel(provider=provider, settings=own, resend=policy == "resend")
