"""Which providers there are, by the name that stands in a webhook's path and in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.providers import Provider
from shared.providers.chatwoot import Chatwoot
from shared.providers.evolution import Evolution
from shared.providers.messenger import Messenger
from shared.providers.standard import Standard
from shared.providers.telegram import Telegram
from shared.providers.twilio import Twilio
from shared.providers.waha import Waha
from shared.providers.whatsapp import WhatsApp

_ALL: tuple[Provider, ...] = (
    Evolution(),
    WhatsApp(),
    Telegram(),
    Waha(),
    Chatwoot(),
    Twilio(),
    Messenger(),
    Standard(),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.name: provider for provider in _ALL})


def provider_named(name: str) -> Provider | None:
    """The provider, or None where there is none of that name."""
    return PROVIDERS.get(name)
