"""Which provider a reply leaves through, if any, and where to: decided without I/O."""

from __future__ import annotations

from shared.model import Message, WindowId
from shared.providers import Address, Provider
from shared.providers.registry import provider_named
from shared.settings import Settings
from shared.wire import OutboxReply


def channel_provider(settings: Settings, reply: OutboxReply | Message) -> Provider | None:
    """
    The provider of a reply, or of one to a message; None: it is kept to be read through the API.

    ``echo`` reaches real users only when somebody wrote ``HANDLER=echo``: a bot that repeats
    its users must not be what happens when a setting was forgotten.
    """
    own = settings.instance(reply.instance, reply.connection)
    if own.handler is None and settings.handler == "echo" and not settings.handler_was_set:
        return None
    name = own.provider or reply.provider
    provider = provider_named(name) if name else None
    return provider if provider is not None and provider.has_channel(own) else None


def address_of(reply: OutboxReply) -> Address:
    """Where a reply goes, as its provider takes it."""
    return Address(
        instance=reply.instance,
        user=reply.user,
        reply_to=reply.reply_to,
        message_ids=reply.message_ids,
    )


def text_id(window_id: WindowId, left: int, part: int) -> str:
    """
    A text's own id, the same however often it is tried; ``left``: it and the texts behind it.

    Counted from the last one, for what could not be sent of a reply goes on as one of fewer texts.
    """
    return f"{window_id}:{left}:{part}"
