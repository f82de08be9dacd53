"""``[instances.<name>]``: what a provider needs is named, what it does not know is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.instance_settings import InstanceSettings, ProviderSettings
from shared.providers.registry import PROVIDERS
from shared.settings import Settings


def problem(**own: Any) -> str:
    """What is wrong with an instance's settings."""
    with pytest.raises(ValidationError) as refused:
        InstanceSettings(**own)
    return str(refused.value)


def test_what_is_missing_for_sending_is_named() -> None:
    """Whoever wrote a token meant to send."""
    assert "base_url is missing: provider evolution" in problem(provider="evolution", token="t")


def test_one_of_several_settings_is_needed() -> None:
    """Twilio sends from a number or through a service; from any of several, that one's name."""
    own: dict[str, Any] = {"provider": "twilio", "token": "t", "account_sid": "AC1"}

    assert "from or messaging_service_sid is missing: provider twilio" in problem(**own)
    for enough in ({"from": "+1"}, {"messaging_service_sid": "MG1"}):
        assert PROVIDERS["twilio"].has_channel(InstanceSettings(**own, **enough))
    several = InstanceSettings(**own, serves_several=True)
    assert not PROVIDERS["twilio"].has_channel(several)
    assert PROVIDERS["twilio"].has_channel(several.for_account("+1"))
    assert not PROVIDERS["twilio"].has_channel(InstanceSettings(account_sid="AC1"))
    assert not PROVIDERS["twilio"].has_channel(InstanceSettings(**{"from": "+1"}, token="t"))


def test_a_setting_of_another_provider_is_refused() -> None:
    """It would do nothing, and somebody relies on it."""
    found = problem(provider="evolution", account_sid="AC1")

    assert "account_sid is no setting of provider evolution" in found
    assert "instance_name" in found


def test_every_providers_setting_is_one_that_can_be_written() -> None:
    """Each provider's own settings and needs are fields, and each field is some provider's."""
    owned = {name for provider in PROVIDERS.values() for name in provider.settings_of_its_own}
    named = {
        name
        for provider in PROVIDERS.values()
        for name in (
            *provider.needs_to_send,
            *provider.needs_one_of,
            *provider.account_settings,
        )
    }

    assert owned <= ProviderSettings.model_fields.keys()
    assert named <= InstanceSettings.model_fields.keys()
    assert set(PROVIDERS) == {provider.name for provider in PROVIDERS.values()}


def test_from_is_written_as_the_provider_calls_it() -> None:
    """``from`` is a word of Python, not of the file."""
    assert InstanceSettings(**{"from": "+15550001111"}).from_ == "+15550001111"


def test_an_instance_behind_a_connection_takes_over_what_it_does_not_set() -> None:
    """Credentials are written once; accounts and serving several are the connection's alone."""
    settings = Settings(
        instances={
            "main": {
                "provider": "evolution",
                "base_url": "http://127.0.0.1:1",
                "token": "t",
                "secret": "s",
                "instance_name": "Desk 1",
                "serves_several": True,
                "max_messages": 3,
            },
            "second": {"connection": "main", "max_messages": 7},
        }
    )
    second = settings.instance("second")

    assert second.token is not None
    assert second.token.get_secret_value() == "t"
    assert [secret.get_secret_value() for secret in second.secret] == ["s"]
    assert (second.provider, second.base_url) == ("evolution", "http://127.0.0.1:1")
    assert (second.instance_name, second.serves_several) == (None, False)
    assert second.max_messages == 7
    undeclared = settings.instance("undeclared", "main")
    assert undeclared.token == second.token
    assert undeclared.instance_name == "undeclared"
    assert settings.instance("undeclared").token is None


@pytest.mark.parametrize(
    "connection, why", [("nobody", "'nobody' is none"), ("second", "'second' has one")]
)
def test_a_connection_must_be_one(connection: str, why: str) -> None:
    """An instance that is none, or that is itself behind another, has no webhooks of its own."""
    instances: dict[str, Any] = {
        "main": {},
        "second": {"connection": "main"},
        "third": {"connection": connection},
    }
    expected = f"third: connection must name an instance that has none itself, and {why}"
    with pytest.raises(ValidationError, match=expected):
        Settings(instances=instances)


def test_every_instance_that_is_wrong_is_named() -> None:
    """One start tells them all."""
    instances: dict[str, Any] = {"second": {"connection": "a"}, "third": {"connection": "b"}}

    with pytest.raises(ValidationError, match=r"second: .*'a' is none; third: .*'b' is none"):
        Settings(instances=instances)


def test_two_instances_behind_a_connection_cannot_be_one_account() -> None:
    """One of them would never get a message; another connection's accounts are its own."""
    main = {"provider": "waha", "session": "one"}
    Settings(instances={"main": main, "other": main, "second": {"connection": "main"}})

    expected = "second: session is that of main, too"
    with pytest.raises(ValidationError, match=expected):
        Settings(instances={"main": main, "second": {"connection": "main", "session": "one"}})


def test_a_providers_setting_without_a_provider_is_refused() -> None:
    """Nobody would read it."""
    with pytest.raises(ValidationError, match="main: page_id has no effect without a provider"):
        Settings(instances={"main": {"page_id": "1"}})
    with pytest.raises(ValidationError, match="second: from has no effect without a provider"):
        Settings(instances={"main": {}, "second": {"connection": "main", "from": "+1"}})


@pytest.mark.parametrize(
    "own, wrong",
    [
        ({"account_sid": "AC1"}, "second: account_sid is no setting of provider evolution"),
        ({"token": "t"}, "second: base_url is missing"),
        ({"secret": "x"}, "second: secret is its connection's, main"),
        ({"serves_several": True}, "second: serves_several is its connection's, main"),
    ],
)
def test_behind_a_connection_the_same_is_refused(own: dict[str, Any], wrong: str) -> None:
    """What comes out when both are laid together must be whole."""
    instances = {"main": {"provider": "evolution"}, "second": {"connection": "main"} | own}
    with pytest.raises(ValidationError, match=wrong):
        Settings(instances=instances)


def test_several_accounts_need_a_provider_that_names_them() -> None:
    """A bot of Telegram has its own path: behind another's, nothing would ever reach it."""
    main = {"provider": "telegram"}

    with pytest.raises(ValidationError, match="second: connection is not possible: provider tele"):
        Settings(instances={"main": main, "second": {"connection": "main"}})
    assert "serves_several is not possible" in problem(**main, serves_several=True)


def test_an_instance_has_its_connections_provider() -> None:
    """What comes through one connection speaks one provider's language."""
    instances: dict[str, Any] = {
        "main": {},
        "second": {"connection": "main", "provider": "evolution"},
    }
    with pytest.raises(ValidationError, match="second: provider is not that of its connection"):
        Settings(instances=instances)


def test_a_connection_of_several_accounts_needs_none_of_its_own() -> None:
    """Each account that no instance names is sent for as itself; a named one must be whole."""
    main = {"provider": "whatsapp", "token": "t", "serves_several": True}
    settings = Settings.model_validate({"instances": {"main": main}})

    assert settings.instance("main").phone_number_id is None
    assert settings.instance("4471", "main").phone_number_id == "4471"
    with pytest.raises(ValidationError, match="second: phone_number_id is missing"):
        Settings(instances={"main": main, "second": {"connection": "main"}})
    with pytest.raises(ValidationError, match="phone_number_id is missing"):
        Settings(instances={"main": main | {"serves_several": False}})


@pytest.mark.parametrize("url", ["ftp://h", "h", "http://", "https:///x", "http://[::1"])
def test_an_address_that_can_never_be_called_is_refused(url: str) -> None:
    """Each reply would be tried, and fail, where nobody looks."""
    assert "base_url" in problem(provider="evolution", base_url=url)
