"""What README.md says of files, settings and metrics is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def settings_rows() -> Iterator[tuple[list[str], list[str]]]:
    """The names and the defaults of each row of the table of settings."""
    table = README.partition("\n## Settings\n")[2].partition("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            names, defaults = line.split("|")[1:3]
            yield re.findall(r"`(\w+)`", names), [one.strip() for one in defaults.split(",")]


def test_every_linked_file_is_there() -> None:
    """Who follows a link arrives."""
    links = re.findall(r"\]\(([^):]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_setting_of_the_table_exists() -> None:
    """Nobody sets a name from the README and is refused."""
    named = {name.lower() for names, _ in settings_rows() for name in names}

    assert len(named) > 20
    assert named <= Settings.model_fields.keys()


@pytest.mark.parametrize("names, defaults", list(settings_rows()))
def test_defaults_of_the_table_are_the_defaults(names: list[str], defaults: list[str]) -> None:
    """Every default that the table gives as a plain number is the one in force."""
    for name, told in zip(names, defaults, strict=False):
        number = told.removesuffix(" (off)")
        if number.isdecimal():
            assert Settings.model_fields[name.lower()].default == int(number), name


def test_pictures_are_small_enough_to_load_with_the_page() -> None:
    """A README is opened on phones, too; and each picture is shown somewhere."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = "".join(page.read_text() for page in pages)
    pictures = list((ROOT / "docs" / "images").iterdir())

    assert pictures
    assert [one.name for one in pictures if one.stat().st_size > 150_000] == []
    assert [one.name for one in pictures if f"images/{one.name})" not in shown] == []
