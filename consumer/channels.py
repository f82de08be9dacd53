"""How replies of an instance leave: its provider, if it has what the provider needs."""

from __future__ import annotations

from consumer.sends import Channel
from shared.channel import channel_provider
from shared.settings import Settings
from shared.wire import OutboxReply


def channel_of(settings: Settings, reply: OutboxReply) -> Channel | None:
    """The channel, or None: then the reply is kept to be read through the API."""
    provider = channel_provider(settings, reply)
    if provider is None:
        return None
    own = settings.instance(reply.instance, reply.connection)
    policy = own.outbox_policy or settings.outbox_policy
    return Channel(provider=provider, settings=own, resend=policy == "resend")
