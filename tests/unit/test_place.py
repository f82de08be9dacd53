"""A secret leaves only to the place that it was set for."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.handlers.chosen import Handlers
from shared.handlers.http_options import HttpOptions
from shared.handlers.model_options import ModelOptions
from shared.handlers.place import OF_A_SERVER, OF_AN_ENDPOINT, Place, not_for
from shared.settings import Settings
from tests.support.handler_server import Answer, HandlerServer
from tests.support.windows import make_call

A, B = "http://127.0.0.1:1/a", "http://127.0.0.1:1/b"
OPENAI, LARGE, DIFY = "openai:small-one", "openai:large-one", "dify:http://127.0.0.1:1"
NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "own, beneath, names",
    [
        ((None, None), (A, None), NOTHING),
        ((None, None), (None, None), NOTHING),
        ((A, None), (A, None), NOTHING),
        ((B, None), (A, None), OF_AN_ENDPOINT),
        ((OPENAI, None), (A, None), OF_AN_ENDPOINT),
        ((A, None), (None, None), OF_AN_ENDPOINT | OF_A_SERVER),
        ((LARGE, None), (OPENAI, A), OF_AN_ENDPOINT),
        ((LARGE, None), (None, A), OF_AN_ENDPOINT),
        ((None, B), (OPENAI, A), OF_A_SERVER),
        ((LARGE, B), (OPENAI, None), OF_AN_ENDPOINT | OF_A_SERVER),
        ((DIFY, None), (OPENAI, None), OF_AN_ENDPOINT | OF_A_SERVER),
        ((DIFY, None), (None, A), OF_AN_ENDPOINT | OF_A_SERVER),
        ((OPENAI, None), (DIFY, None), OF_AN_ENDPOINT | OF_A_SERVER),
        ((DIFY, None), (DIFY, None), NOTHING),
    ],
)
def test_what_goes_along_is_decided_by_where_both_lead(
    own: tuple[str | None, str | None],
    beneath: tuple[str | None, str | None],
    names: frozenset[str],
) -> None:
    """Secret, headers and path by the endpoint, a model's key by its server."""
    assert not_for(Place(*own), Place(*beneath)) == names


@pytest.mark.parametrize("has_own", [False, True])
async def test_another_handler_is_not_signed_with_the_general_secret(has_own: bool) -> None:
    """Whoever runs it could sign calls to the general one; its own secret signs, if it has one."""
    answer = [Answer.reply("hi")]
    async with HandlerServer(answer) as general, HandlerServer(answer) as other:
        own: dict[str, Any] = {"handler": other.url}
        own |= {"handler_secret": "whsec_b3RoZXI="} if has_own else {}
        settings = Settings(
            handler=general.url,
            handler_secret="whsec_Z2VuZXJhbA==",
            instances={"own": own, "same": {"handler": general.url}, "plain": {}},
        )
        with capture_logs() as lines:
            handlers = Handlers(settings)
        warned = [line["instance"] for line in lines if line["event"] == "handler.unsigned"]
        assert warned == ([] if has_own else ["own"])
        for instance in ("own", "same", "plain"):
            await handlers.handler(instance).answer(make_call())
        await handlers.close()
        assert ["webhook-signature" in call.headers for call in other.calls] == [has_own]
        assert all("webhook-signature" in call.headers for call in general.calls)
        assert len(general.calls) == 2


def test_an_account_has_nothing_of_its_connections_for_another_handler() -> None:
    """What the connection's handler knows stays with it; where both say the same, it is kept."""
    secrets = {
        "handler_secret": "whsec_Z2VuZXJhbA==",
        "handler_headers": {"X-Key": "k-4711"},
        "handler_key": "sk-4711",
        "answer_path": "data.text",
    }
    main = {"provider": "evolution", "handler": A, **secrets}
    settings = Settings(
        instances={
            "main": main,
            "same": {"connection": "main"},
            "moved": {"connection": "main", "handler": B},
            "asks": {"connection": "main", "handler": DIFY},
        }
    )
    same, moved, asks = (settings.instance(name) for name in ("same", "moved", "asks"))
    assert same.handler_secret == settings.instance("main").handler_secret is not None
    assert HttpOptions.of(settings, same).headers == (("X-Key", "k-4711"),)
    for own in (moved, asks):
        assert own.handler_secret is None
        assert HttpOptions.of(settings, own) == HttpOptions()
    assert ModelOptions.of(settings, asks).key is None
