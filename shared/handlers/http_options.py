"""What the settings say of an HTTP handler besides its URL, its secret and its time."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.handlers.answer_path import AnswerPath, parse_answer_path
from shared.handlers.place import not_for
from shared.instance_settings import HandlerHeaders, InstanceSettings
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Headers that go out with every call, and where in a JSON answer the reply stands."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    answer_path: AnswerPath | None = None

    @classmethod
    def of(cls, settings: Settings, own: InstanceSettings | None) -> HttpOptions:
        """
        What holds for an instance; ``own`` is None for the general handler.

        What is set for all belongs to the general handler: an instance with another handler has
        only its own, for one service's API key is nothing to send to another.
        """
        headers, path = settings.handler_headers, settings.answer_path
        if own is not None:
            foreign = not_for(own.place, settings.place)
            headers = _on_top({} if "handler_headers" in foreign else headers, own.handler_headers)
            path = own.answer_path or (None if "answer_path" in foreign else path)
        return cls(
            headers=tuple((name, value.get_secret_value()) for name, value in headers.items()),
            answer_path=parse_answer_path(path) if path else None,
        )


def _on_top(general: HandlerHeaders, own: HandlerHeaders) -> HandlerHeaders:
    """An instance's own value is sent in place of the general one, however the name is written."""
    names = {name.lower() for name in own}
    return {name: value for name, value in general.items() if name.lower() not in names} | own
