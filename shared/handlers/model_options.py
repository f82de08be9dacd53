"""How a model is asked: what the settings say of it, the instance's own before the general ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from shared.handlers.place import not_for
from shared.instance_settings import InstanceSettings
from shared.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """
    For handlers that ask a model; those of other kinds have no use for it.

    ``history_messages``: how many of a user's messages and answers to them the model is told
    again; ``history_ms``: for how long after the last of them. ``images``: pictures are shown to
    the model, and not only mentioned.
    """

    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    images: bool = True
    history_messages: int = 20
    history_ms: int = 86_400_000

    @classmethod
    def of(cls, settings: Settings, own: InstanceSettings) -> ModelOptions:
        """
        What holds for an instance; ``own`` is empty for the general handler.

        The general key is for the general server: nobody else's is sent it.
        """
        key = own.handler_key
        if key is None and "handler_key" not in not_for(own.place, settings.place):
            key = settings.handler_key
        return cls(
            base_url=own.handler_base_url or settings.handler_base_url,
            key=key.get_secret_value() if key else None,
            system_prompt=_first(own.system_prompt, settings.system_prompt),
            temperature=_first(own.temperature, settings.temperature),
            max_tokens=_first(own.max_tokens, settings.max_tokens),
            images=own.handler_images
            if own.handler_images is not None
            else settings.handler_images,
            history_messages=own.history_messages
            if own.history_messages is not None
            else settings.history_messages,
            history_ms=own.history_ms or settings.history_ms,
        )


def _first(own: T | None, general: T | None) -> T | None:
    return general if own is None else own
