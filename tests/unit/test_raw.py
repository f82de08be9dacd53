"""What of a payload is stored as it came."""

from __future__ import annotations

import pytest

from shared.providers.raw import storable


@pytest.mark.parametrize(
    "name",
    [
        "apikey",
        "X-Api-Key",
        "TOKEN",
        "pageAccessToken",
        "webhook_verify_token",
        "imap_password",
        "app_secret",
        "messageSecret",
        "hmac_identifier",
        "Authorization",
    ],
)
def test_what_somebody_could_act_with_is_cut_out_at_any_depth(name: str) -> None:
    """Keys and tokens are in no copy, whatever the case of their name."""
    payload = {name: "planted", "kept": [{"in": {name: {"deep": "planted"}, "text": "hi"}}]}
    assert storable(payload, 100) == {"kept": [{"in": {"text": "hi"}}]}


def test_bytes_above_the_limit_are_cut_out() -> None:
    """Only the fields that hold bytes are judged by their size."""
    payload = {"data": "QUJD" * 100, "thumb": "QUJD", "text": "x" * 1000}
    kept = storable(payload, 100, {"data", "thumb"})
    assert kept == {"data": None, "thumb": "QUJD", "text": "x" * 1000}


def test_a_copy_changes_nothing_of_the_payload() -> None:
    """What is cut out of the copy stays where it was."""
    payload = {"token": "planted", "list": [{"secret": 1}]}
    storable(payload, 100)
    assert payload == {"token": "planted", "list": [{"secret": 1}]}


@pytest.mark.parametrize("name", ["author", "key", "id", "text", "keyboard", "mediaKey", "passed"])
def test_other_names_stay(name: str) -> None:
    """A handler that asked for the raw message wants the rest of it."""
    assert storable({name: 1}, 0) == {name: 1}
