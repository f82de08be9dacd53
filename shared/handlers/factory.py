"""From the setting ``HANDLER`` to the handler; ``kinds`` tells which there are."""

from __future__ import annotations

from shared.errors import StartRefused
from shared.handlers import Handler
from shared.handlers.dify import DifyHandler
from shared.handlers.echo import EchoHandler
from shared.handlers.http import HttpHandler
from shared.handlers.http_options import HttpOptions
from shared.handlers.kinds import handler_kind
from shared.handlers.model_options import ModelOptions
from shared.handlers.openai import OpenAIHandler
from shared.handlers.python import PythonHandler
from shared.handlers.signature import signing_key
from shared.handlers.threads import THREADS_MAX


def handler_for(
    setting: str,
    *,
    secret: str | None,
    timeout_ms: int,
    concurrency: int = 256,
    named: str = "INTURN_HANDLER",
    model: ModelOptions | None = None,
    http: HttpOptions | None = None,
) -> Handler:
    """
    The handler that ``setting`` names; the caller closes it.

    ``concurrency`` is how many calls may run at once: no more threads are kept for a function
    that blocks, and ``THREADS_MAX`` at most. ``model`` is for those that ask one, ``http`` for
    endpoints. ``named`` is what problems call the setting, for one that stands elsewhere
    (``[instances.shop] handler``); its secret's name is the same with ``_secret`` added.
    Opens no connection and needs no running loop; ``python:`` imports the module.

    Raises:
        StartRefused: unknown kind, unreadable URL or secret, no key, or the function or package
            that it needs cannot be imported.
    """
    model = model or ModelOptions()
    try:
        match handler_kind(setting):
            case "echo":
                return EchoHandler()
            case "python":
                threads = min(concurrency, THREADS_MAX)
                return PythonHandler.load(setting.removeprefix("python:"), threads=threads)
            case "http":
                key = _key(secret, named)
                return HttpHandler(setting, key=key, timeout_ms=timeout_ms, options=http)
            case "openai":
                return OpenAIHandler(setting.removeprefix("openai:"), model, timeout_ms=timeout_ms)
            case "dify":
                return DifyHandler(setting.removeprefix("dify:"), model, timeout_ms=timeout_ms)
    except ValueError as error:
        raise StartRefused([f"{named}: {error}"]) from error


def _key(secret: str | None, named: str) -> bytes | None:
    try:
        return signing_key(secret) if secret else None
    except ValueError as error:
        name = named + ("_SECRET" if named.isupper() else "_secret")
        raise StartRefused([f"{name}: {error}"]) from error
