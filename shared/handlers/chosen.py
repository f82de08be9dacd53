"""Which handler answers an instance's windows, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from shared.errors import StartRefused
from shared.handlers import Handler
from shared.handlers.factory import handler_for
from shared.handlers.http_options import HttpOptions
from shared.handlers.kinds import handler_kind
from shared.handlers.model_options import ModelOptions
from shared.handlers.place import not_for
from shared.handlers.python import PythonHandler
from shared.instance_settings import InstanceSettings, Secret
from shared.settings import Settings

Pool = tuple[object, int]
"""What several instances share, and how many of all their windows may be in hand at once."""

log = structlog.get_logger()


class Handlers:
    """
    The general handler, and those that instances have of their own.

    Raises:
        StartRefused: from the constructor, with the problems of every handler at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_setting: dict[tuple[str, str | None, int, ModelOptions, HttpOptions], Handler] = {}
        self._by_instance: dict[str, Handler] = {}
        self._timeouts_ms = {
            name: own.handler_timeout_ms or settings.handler_timeout_ms
            for name, own in settings.instances.items()
        }
        self._limits = {
            name: own.handler_concurrency
            for name, own in settings.instances.items()
            if own.handler_concurrency is not None
        }
        problems: list[str] = []
        self._general = self._make(None, problems)
        for name in settings.instances:
            handler = self._make(name, problems)
            if handler is not None:
                self._by_instance[name] = handler
        if problems:
            raise StartRefused(problems)

    def handler(self, instance: str, connection: str | None = None) -> Handler:
        """The handler of an instance's windows; of one that nobody names, its connection's."""
        handler = self._by_instance.get(instance)
        if handler is None and connection is not None:
            handler = self._by_instance.get(connection)
        handler = handler or self._general
        assert handler is not None
        return handler

    def timeout_ms(self, instance: str, connection: str | None = None) -> int:
        """How long one attempt may take; of an instance that nobody names as its connection's."""
        found = self._timeouts_ms.get(instance)
        if found is None and connection is not None:
            found = self._timeouts_ms.get(connection)
        return found or self._settings.handler_timeout_ms

    def longest_timeout_ms(self, instance: str) -> int:
        """The same where its connection is not known."""
        longest = max((self._settings.handler_timeout_ms, *self._timeouts_ms.values()))
        return self._timeouts_ms.get(instance, longest)

    def concurrency(self, instance: str, connection: str | None = None) -> int | None:
        """How many of its windows one worker hands over at once; None: as many as it has slots."""
        own = self._limits.get(instance)
        if own is None and instance not in self._by_instance and connection is not None:
            own = self._limits.get(connection)
        return own or self._settings.instance_concurrency

    def pool(self, instance: str, connection: str | None = None) -> Pool | None:
        """The threads of the function that answers it; None: it blocks none."""
        return _pool(self.handler(instance, connection))

    def limit_of(self) -> Callable[[str, str | None], int | None] | None:
        """``concurrency``, if any instance has a limit or any handler a pool."""
        is_limited = self._limits or self._settings.instance_concurrency
        has_pool = any(_pool(handler) is not None for handler in self._by_setting.values())
        return self.concurrency if is_limited or has_pool else None

    async def close(self) -> None:
        """Release every handler's connections."""
        for handler in self._by_setting.values():
            await handler.close()

    def _make(self, instance: str | None, problems: list[str]) -> Handler | None:
        settings = self._settings
        own = settings.instance(instance) if instance is not None else None
        setting = (own and own.handler) or settings.handler
        secret = _secret_for(own, settings)
        timeout_ms = (own and own.handler_timeout_ms) or settings.handler_timeout_ms
        if secret is None and settings.handler_secret and handler_kind(setting) == "http":
            means = "handler_secret is for the handler of all: write one for this handler"
            log.warning("handler.unsigned", instance=instance, means=means)
        text = secret.get_secret_value() if secret else None
        model = ModelOptions.of(settings, own or InstanceSettings())
        http = HttpOptions.of(settings, own)
        key = (setting, text, timeout_ms, model, http)
        if key not in self._by_setting:
            named = "INTURN_HANDLER" if instance is None else f"[instances.{instance}] handler"
            try:
                self._by_setting[key] = handler_for(
                    setting,
                    secret=text,
                    timeout_ms=timeout_ms,
                    concurrency=settings.handler_concurrency,
                    named=named,
                    model=model,
                    http=http,
                )
            except StartRefused as error:
                problems.extend(error.problems)
                return None
        return self._by_setting[key]


def _secret_for(own: InstanceSettings | None, settings: Settings) -> Secret | None:
    """What signs the calls: the general secret is known to the general handler alone."""
    if own is None:
        return settings.handler_secret
    foreign = "handler_secret" in not_for(own.place, settings.place)
    return own.handler_secret or (None if foreign else settings.handler_secret)


def _pool(handler: Handler) -> Pool | None:
    if isinstance(handler, PythonHandler) and handler.threads is not None:
        return handler, handler.threads
    return None
