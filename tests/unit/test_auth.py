"""Which names are this machine, and which settings need a token. Requests are tested over HTTP."""

from __future__ import annotations

import pytest
import structlog
from multidict import CIMultiDict, CIMultiDictProxy

from ingest.auth import (
    api_token_of,
    has_doubled_evidence,
    is_loopback_name,
    refuse_exposed,
    refuse_unverifiable,
    secrets_of,
    warn_of_open_webhooks,
)
from shared.errors import StartRefused
from shared.providers.registry import PROVIDERS
from shared.settings import Settings


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "127.0.0.1", "127.255.0.9", "::1", "[::1]", "::ffff:127.0.0.1"],
)
def test_loopback_names_are_this_machine(host: str) -> None:
    """Every spelling of loopback counts."""
    assert is_loopback_name(host)
    refuse_exposed(Settings(host=host))


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.nip.io", "1"],  # noqa: S104
)
def test_other_names_are_not(host: str) -> None:
    """What may be reachable needs a token before anything listens."""
    assert not is_loopback_name(host)
    with pytest.raises(StartRefused, match="API_TOKEN"):
        refuse_exposed(Settings(host=host))
    refuse_exposed(Settings(host=host, api_token="s3cret"))


def test_a_signed_url_must_be_known() -> None:
    """Twilio's signature holds its URL: without it, each webhook would be a 401, for ever."""
    signed = {"desk": {"provider": "twilio", "secret": "x"}}

    with pytest.raises(StartRefused, match=r"INTURN_PUBLIC_URL: is missing: twilio.*desk"):
        refuse_unverifiable(Settings(instances=signed), PROVIDERS)
    refuse_unverifiable(Settings(instances=signed, public_url="https://bot.example.org"), PROVIDERS)
    for unsigned in ({"provider": "twilio"}, {"provider": "twilio", "secret": "none"}, {}):
        refuse_unverifiable(Settings(instances={"desk": unsigned}), PROVIDERS)
    refuse_unverifiable(
        Settings(instances={"desk": {"provider": "chatwoot", "secret": "x"}}), PROVIDERS
    )


def test_an_empty_token_is_none() -> None:
    """An empty ``API_TOKEN`` does not let everybody in with an empty bearer."""
    assert api_token_of(Settings(api_token="")) is None
    assert api_token_of(Settings(api_token="s3cret")) == "s3cret"


def test_empty_secrets_are_none() -> None:
    """An empty secret is not one that an empty signature matches."""
    settings = Settings(instances={"a": {"secret": ["", "x"]}})

    assert secrets_of(settings, "a") == ("x",)
    assert secrets_of(settings, "unknown") == ()


def test_open_instances_are_warned_of_by_name() -> None:
    """Each instance whose webhooks anybody may send is named at start, and no other."""
    settings = Settings(instances={"open": {"secret": "none"}, "shut": {"secret": "x"}, "bare": {}})

    with structlog.testing.capture_logs() as logs:
        warn_of_open_webhooks(settings, structlog.get_logger())

    assert [(line["event"], line["instance"]) for line in logs] == [("webhook.open", "open")]
    assert logs[0]["log_level"] == "warning"


@pytest.mark.parametrize(
    "names, doubled",
    [
        (["Host", "apikey"], False),
        (["Accept", "Accept"], False),
        (["apikey", "ApiKey"], True),
        (["Authorization", "authorization"], True),
        (["X-Hub-Signature-256", "X-Hub-Signature-256"], True),
        (["X-Hub-Signature", "X-Hub-Signature-256"], False),
        (["X-Telegram-Bot-Api-Secret-Token"] * 2, True),
    ],
)
def test_evidence_given_twice_is_seen(names: list[str], *, doubled: bool) -> None:
    """A doubled signature or token is found whatever its case, other headers may repeat."""
    headers = CIMultiDictProxy(CIMultiDict([(name, "x") for name in names]))

    assert has_doubled_evidence(headers) is doubled
