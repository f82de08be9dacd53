"""Whose a message is, by the connection it came through and the account that its payload names."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.recipients import Recipients, connection_of
from shared.providers import Recipient
from shared.providers.chatwoot import Chatwoot
from shared.providers.evolution import Evolution
from shared.providers.telegram import Telegram
from shared.providers.twilio import Twilio
from shared.settings import Settings

EVOLUTION = Evolution()


def settings(**instances: dict[str, Any]) -> Settings:
    """Settings whose instances are Evolution's."""
    return Settings(
        instances={name: {"provider": "evolution"} | own for name, own in instances.items()}
    )


def behind(connection: str, **instances: dict[str, Any]) -> Recipients:
    """The recipients of one connection."""
    return Recipients(connection, EVOLUTION, settings(**instances))


@pytest.mark.parametrize("account", [None, "main", "anything"])
def test_a_connection_of_one_account_takes_all_that_comes(account: str | None) -> None:
    """The path names the instance, whatever the provider calls it."""
    assert behind("main", main={}).of(account) == Recipient(instance="main")


def test_a_connection_whose_account_is_set_takes_no_others() -> None:
    """What is for another account would be answered in the wrong name."""
    recipients = behind("main", main={"instance_name": "Desk 1"})

    assert recipients.of("Desk 1") == Recipient(instance="main")
    assert recipients.of(None) == Recipient(instance="main")
    assert recipients.of("Desk 2") is None


def test_instances_behind_a_connection_are_told_apart_by_their_accounts() -> None:
    """By the account that each has in its settings, else by its name."""
    recipients = behind(
        "main",
        main={"instance_name": "Desk 1"},
        second={"connection": "main", "instance_name": "Desk 2", "store_raw": True},
        third={"connection": "main"},
        stranger={"instance_name": "Desk 9"},
    )

    assert recipients.of("Desk 1") == Recipient(instance="main")
    assert recipients.of("Desk 2") == Recipient(instance="second", store_raw=True)
    assert recipients.of("third") == Recipient(instance="third")
    assert recipients.of("Desk 9") is None


def test_accounts_that_nobody_wrote_down_stand_for_themselves_where_that_is_allowed() -> None:
    """Such a message says which connection it came through, for that has the credentials."""
    recipients = behind("main", main={"serves_several": True, "groups": True})

    assert recipients.of("shop 17") == Recipient(instance="shop 17", connection="main", groups=True)
    assert recipients.of(None) == Recipient(instance="main", groups=True)
    assert recipients.of("line\nbreak") is None


def test_an_unnamed_account_cannot_take_an_instances_name() -> None:
    """Who may speak for any account of one connection does not speak for another's instance."""
    recipients = behind("main", main={"serves_several": True}, victim={"secret": "x"})

    assert recipients.of("victim") is None


@pytest.mark.parametrize(
    "account, found",
    [
        (None, "second"),
        ("anything", "second"),
        ("second", "second"),
        ("Desk 1", "main"),
        ("Desk 3", "third"),
    ],
)
def test_the_path_of_an_instance_behind_a_connection_names_it(
    account: str | None, found: str
) -> None:
    """Where the payload says nothing that is written down, the path does."""
    recipients = behind(
        "second",
        main={"instance_name": "Desk 1"},
        second={"connection": "main"},
        third={"connection": "main", "instance_name": "Desk 3"},
    )

    assert recipients.of(account) == Recipient(instance=found)


def test_a_named_path_of_another_account_takes_no_others() -> None:
    """The instance's own account counts, not its connection's."""
    recipients = behind(
        "second",
        main={},
        second={"connection": "main", "instance_name": "Desk 2"},
    )

    assert recipients.of("Desk 2") == Recipient(instance="second")
    assert recipients.of("Desk 9") is None


def test_a_path_behind_a_connection_of_several_takes_their_names() -> None:
    """An account that nobody wrote down is its own, under the connection that vouched for it."""
    recipients = behind("second", main={"serves_several": True}, second={"connection": "main"})

    assert recipients.of("shop 17") == Recipient(instance="shop 17", connection="main")
    assert recipients.of("main") == Recipient(instance="main")


def test_payloads_that_name_no_account_are_the_paths() -> None:
    """Telegram's updates never say which bot they are for."""
    known = Settings(instances={"main": {}, "second": {"connection": "main"}})

    for name in ("main", "second"):
        assert Recipients(name, Telegram(), known).of(None) == Recipient(instance=name)


def test_an_instance_knows_whose_customer_it_is() -> None:
    """Where the provider's ids repeat, the account of the settings is asked for."""
    desk = {"provider": "chatwoot", "base_url": "http://h", "token": "t", "account_id": "7"}
    known = Settings(
        instances={
            "desk": desk | {"serves_several": True},
            "north": {"connection": "desk", "inbox_id": "41", "account_id": "8"},
        }
    )
    recipients = Recipients("desk", Chatwoot(), known)

    assert recipients.of(None) == Recipient(instance="desk", tenant="7")
    assert recipients.of("41", "inbox_id") == Recipient(instance="north", tenant="8")
    assert recipients.of("42") == Recipient(instance="42", connection="desk", tenant="7")


NUMBER = "whatsapp:+4930555000001"
SERVICE = "MG01"


@pytest.mark.parametrize(
    "own, number, service, found",
    [
        ({}, "+1", "MG9", "main"),
        ({"from": NUMBER}, NUMBER, "MG9", "main"),
        ({"from": NUMBER}, "+1", "MG9", None),
        ({"from": NUMBER}, "+1", None, None),
        ({"messaging_service_sid": SERVICE}, "+1", SERVICE, "main"),
        ({"messaging_service_sid": SERVICE}, "+1", "MG9", None),
        ({"messaging_service_sid": SERVICE}, "+1", None, "main"),
        ({"from": NUMBER, "messaging_service_sid": SERVICE}, "+1", SERVICE, "main"),
        ({"from": NUMBER, "messaging_service_sid": SERVICE}, NUMBER, "MG9", "main"),
        ({"from": NUMBER, "messaging_service_sid": SERVICE}, "+1", "MG9", None),
        ({"serves_several": True}, "+1", "MG9", "+1"),
        ({"serves_several": True, "messaging_service_sid": SERVICE}, "+1", SERVICE, "main"),
        ({}, "+2", SERVICE, "by-number"),
        ({}, "+1", "MG3", "by-service"),
        ({}, None, "MG3", "by-service"),
        ({}, None, None, "main"),
    ],
)
def test_of_several_accounts_the_first_that_is_written_down_counts(
    own: dict[str, Any], number: str | None, service: str | None, found: str | None
) -> None:
    """A Twilio message is to a number, and maybe to a service: settings may name either."""
    known = Settings(
        instances={
            "main": {"provider": "twilio"} | own,
            "by-number": {"connection": "main", "from": "+2"},
            "by-service": {"connection": "main", "messaging_service_sid": "MG3"},
        }
    )
    recipients = Recipients("main", Twilio(), known)

    recipient = recipients.of(number, "from_", (service, "messaging_service_sid"))

    assert (recipient and recipient.instance) == found


@pytest.mark.parametrize(
    "account, connection",
    [
        ("Desk 2", "main"),
        ("main", "main"),
        ("second", "main"),
        ("nobody", "nobody"),
        ("line\nbreak", None),
        (None, None),
    ],
)
def test_a_payload_without_a_path_speaks_for_its_accounts_connection(
    account: str | None, connection: str | None
) -> None:
    """The secrets of the connection vouch for it; an unknown account has none."""
    known = settings(main={}, second={"connection": "main", "instance_name": "Desk 2"})

    assert connection_of(account, EVOLUTION, known) == connection
