"""``docs/settings.md`` is the whole of what can be set, as the code has it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from shared.instance_settings import InstanceSettings
from shared.settings import Settings
from tests.support.doc_pages import blocks_of

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
GENERAL, _, OWN = PAGE.partition("\n## An account")


def rows(text: str) -> Iterator[list[str]]:
    """Each row of the tables: its cells, the name without its quotes."""
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            yield [name.strip("`"), *rest]


def field_of_an_account(name: str) -> FieldInfo:
    """By the name that the file has for it."""
    fields = InstanceSettings.model_fields
    return fields["from_" if name == "from" else name]


def shown_default(field: FieldInfo) -> str:
    """As the page writes it: none and empty are a dash, texts stand in quotes."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return f"`{value}`" if isinstance(value, str | Path) else "-"


def shown_range(name: str, field: FieldInfo) -> str:
    """As the page writes it: what may be chosen, or the bounds with their unit."""
    if choices := choices_of(field.annotation):
        return ", ".join(f"`{choice}`" for choice in choices)
    least = most = None
    for bound in field.metadata:
        least = bound.gt + 1 if hasattr(bound, "gt") else getattr(bound, "ge", least)
        most = getattr(bound, "le", most)
    unit = next((unit for unit in ("ms", "bytes") if name.endswith(f"_{unit}")), "")
    if least is None:
        return unit
    return (f"at least {least}" if most is None else f"{least} to {most}") + f" {unit}".rstrip()


def choices_of(annotation: Any) -> list[str]:
    """The values of a ``Literal``, also of one that may be None."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return list(parts)
    return [choice for part in parts for choice in choices_of(part)]


def test_every_setting_has_its_row_and_no_other() -> None:
    """Who looks a name up finds it once; what stands there can be set."""
    general = [row[0].lower() for row in rows(GENERAL)]
    own = [row[0] for row in rows(OWN)]

    assert sorted(general) == sorted(Settings.model_fields.keys() - {"instances"})
    known = {field.alias or name for name, field in InstanceSettings.model_fields.items()}
    assert sorted(own) == sorted(known - Settings.model_fields.keys())


@pytest.mark.parametrize("row", list(rows(GENERAL)), ids=lambda row: row[0])
def test_a_row_is_so(row: list[str]) -> None:
    """Its default and its range are those in force, and an account may have its own where told."""
    name, default, told_range, own, meaning = row
    field = Settings.model_fields[name.lower()]

    assert default == shown_default(field)
    assert told_range == shown_range(name.lower(), field)
    assert (own == "yes") == (name.lower() in InstanceSettings.model_fields)
    assert meaning


@pytest.mark.parametrize("row", list(rows(OWN)), ids=lambda row: row[0])
def test_a_row_of_an_account_is_so(row: list[str]) -> None:
    """What an account alone may have, with its default."""
    name, default, meaning = row

    assert default == shown_default(field_of_an_account(name))
    assert meaning


def test_the_bounds_are_bounds() -> None:
    """A value beyond each bound that the page tells is refused."""
    bounded = [
        (name.lower(), [int(number) for number in re.findall(r"\d+", told)])
        for name, _, told, *_ in rows(GENERAL)
    ]
    assert sum(len(numbers) for _, numbers in bounded) > 40
    for name, numbers in bounded:
        for value in (numbers[0] - 1, *(most + 1 for most in numbers[1:])) if numbers else ():
            beyond: dict[str, Any] = {name: value}
            with pytest.raises(ValueError, match=name):
                Settings(**beyond)


def test_its_example_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """General and own settings, and a secret from the environment."""
    (text,) = blocks_of(PAGE, "toml")
    monkeypatch.setenv("API_TOKEN", "planted")
    settings = Settings(**tomllib.loads(text))

    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "planted"
    assert settings.instance("reception").max_messages not in (None, settings.max_messages)
