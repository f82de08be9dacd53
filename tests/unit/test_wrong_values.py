"""Values that look right and can never work end the start, by their setting's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.settings import Settings, load_settings
from tests.support.problems import problems

UNFILLED = "is the name of a variable that nobody put in: write env:NAME"


@pytest.mark.parametrize("number", ["+493055500001", "49 3055 500001", "pnid-1", "٣٣٠٠"])
def test_a_number_is_no_id_of_metas(config: Path, number: str) -> None:
    """Every send would be refused, and every webhook be another account's."""
    config.write_text(f'[instances.a]\nprovider = "whatsapp"\nphone_number_id = "{number}"\n')
    (problem,) = problems()
    assert problem.startswith("[instances.a]: phone_number_id must be Meta's id of the number")
    assert number not in problem
    config.write_text('[instances.a]\nprovider = "whatsapp"\nphone_number_id = "330011220044"\n')
    load_settings()


@pytest.mark.parametrize(
    "number",
    [
        "493055500001",
        "whatsapp:493055500001",
        "00493055500001",
        "+49 3055 500001",
        "+",
        "whatsapp:",
    ],
)
def test_a_number_without_its_plus_is_none_of_twilios(config: Path, number: str) -> None:
    """It would match no webhook, and nothing could be sent from it."""
    config.write_text(f'[instances.a]\nprovider = "twilio"\nfrom = "{number}"\n')
    (problem,) = problems()
    assert problem.startswith("[instances.a]: from must be written as whatsapp:+1555... or +1555")
    assert "493055500001" not in problem


@pytest.mark.parametrize(
    "sender",
    ["+493055500001", "whatsapp:+493055500001", "WhatsApp:+1", "12345", "Bakery 24", "rcs:bakery"],
)
def test_every_form_of_a_sender_is_taken(config: Path, sender: str) -> None:
    """Numbers, short codes, names, and other channels' identities."""
    config.write_text(f'[instances.a]\nprovider = "twilio"\nfrom = "{sender}"\n')
    assert load_settings().instance("a").from_ == sender


@pytest.mark.parametrize(
    "url, problem",
    [
        ("https://bot.example/?a=1", "must have nothing behind its path: no ? and no #"),
        ("https://bot.example/#", "must have nothing behind its path: no ? and no #"),
        ("https://bot.example/webhooks/twilio/a", "must end before /webhooks, which is put behind"),
        ("https://bot.example/in/webhooks", "must end before /webhooks, which is put behind it"),
        ("bot.example", "must begin with http:// or https:// and name a host"),
    ],
)
def test_no_webhook_begins_with_such_a_public_url(
    monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    """Each of Twilio's would have been refused."""
    monkeypatch.setenv("INTURN_PUBLIC_URL", url)
    (found,) = problems()
    assert found.startswith(f"INTURN_PUBLIC_URL: {problem}")


def test_a_public_url_may_have_a_path() -> None:
    """What a proxy cuts off stands before the path of each webhook."""
    settings = Settings(public_url="https://bot.example/inturn/")
    assert settings.public_url == "https://bot.example/inturn"


@pytest.mark.parametrize("value", ["$API_TOKEN", "${API_TOKEN}", "${api_token}"])
def test_a_variable_that_nobody_put_in_is_no_secret(
    config: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Whoever reads the documentation of a shell would know it."""
    config.write_text(
        f"""
        api_token = "{value}"
        handler_headers = {{ X-Key = "{value}" }}
        [instances.a]
        secret = ["right", "{value}"]
        token = "env:TOKEN_OF_A"
        """
    )
    monkeypatch.setenv("TOKEN_OF_A", value)
    monkeypatch.setenv("INTURN_HANDLER_SECRET", value)
    assert problems() == (
        f"INTURN_API_TOKEN: {UNFILLED}",
        f"INTURN_HANDLER_SECRET: {UNFILLED}",
        f"INTURN_HANDLER_HEADERS.X-Key: {UNFILLED}",
        f"[instances.a] token: {UNFILLED}",
        f"[instances.a] secret: {UNFILLED}",
    )


def test_a_secret_that_only_looks_like_one_is_taken(config: Path, tmp_path: Path) -> None:
    """It has more in it, or stands in a file."""
    (tmp_path / "token").write_text("$API_TOKEN\n")
    config.write_text(
        f'api_token = "file:{tmp_path}/token"\nhandler_secret = "$pa55-Word$"\n'
        '[instances.a]\nsecret = "a$B"\n'
    )
    settings = load_settings()
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "$API_TOKEN"
