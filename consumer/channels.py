"""How replies of an instance leave: its provider, if it has what the provider needs."""

from __future__ import annotations

from consumer.sends import Channel
from shared.providers.registry import provider_named
from shared.settings import Settings
from shared.wire import OutboxReply


class Channels:
    """
    Finds the channel of a reply.

    ``echo`` reaches real users only when somebody wrote ``HANDLER=echo``: a bot that repeats
    its users must not be what happens when a setting was forgotten.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def channel_of(self, reply: OutboxReply) -> Channel | None:
        """The channel, or None: then the reply is kept to be read through the API."""
        settings = self._settings
        own = settings.instance(reply.instance)
        if own.handler is None and settings.handler == "echo" and not settings.handler_was_set:
            return None
        name = own.provider or reply.provider
        provider = provider_named(name) if name else None
        if provider is None or not provider.has_channel(own):
            return None
        policy = own.outbox_policy or settings.outbox_policy
        return Channel(provider=provider, settings=own, resend=policy == "resend")
