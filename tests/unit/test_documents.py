"""Every document: its links arrive, it is listed, and the commands that it names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from ops.cli import inturn
from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [README, ROOT / "deploy" / "README.md", *PAGES]
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
NETWORK = "inturn_outside"
"""What Compose calls the network that other containers join."""

UNFILLED = re.compile(r"[A-Z_]+|<[a-z]+>|\[.*|\|.*|#.*")


def headings_of(document: Path) -> set[str]:
    """The anchors that its headings give."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@each_document
def test_every_link_arrives(document: Path) -> None:
    """At a file that is there, and at a heading of it."""
    lost = []
    for link in re.findall(r"\]\(([^):\s]+)\)", document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in headings_of(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("listing", [README, INDEX], ids=["README", "docs/README"])
def test_every_page_is_listed(listing: Path) -> None:
    """Nobody has to look into the folder to find one."""
    links = re.findall(r"\]\(([^)#:]+)", listing.read_text())
    linked = {(listing.parent / link).resolve() for link in links}

    assert [page.name for page in PAGES if page not in linked | {INDEX, listing}] == []


def commands_in(document: Path) -> list[str]:
    """What it tells one to type behind ``inturn``: in quotes, or at the begin of a block's line."""
    text = document.read_text()
    quoted = re.findall(r"`inturn ([a-z][^`\n]*)`", text)
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    shells = [block for language, block in blocks if language in ("", "sh")]
    lines = [line.strip() for block in shells for line in block.splitlines()]
    return quoted + [line[7:] for line in lines if re.match(r"inturn [a-z]", line)]


def problem_with(command: str) -> str:
    """Which of its words ``inturn`` does not know; empty if it knows them all."""
    here: click.Command = inturn
    for word in shlex.split(command, comments=True):
        if word.startswith("--"):
            if word not in {name for option in here.params for name in option.opts}:
                return f"no option {word}"
        elif isinstance(here, click.Group) and not UNFILLED.fullmatch(word):
            if word not in here.commands:
                return f"no command {word}"
            here = here.commands[word]
    return ""


@each_document
def test_every_command_exists(document: Path) -> None:
    """Whoever types what is written is not told that there is no such command or option."""
    problems = {
        command: problem
        for command in commands_in(document)
        if (problem := problem_with(re.split(r"  +| \| |; ", command)[0]))
    }
    assert problems == {}


@each_document
def test_every_target_of_make_exists(document: Path) -> None:
    """The same for ``make``."""
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE))

    assert named - TARGETS == set()


@each_document
def test_every_metric_that_is_named_is_exported(document: Path) -> None:
    """An alert written after a page fires."""
    exported = (IngestMetrics(InstanceLabels(1)).render() + ConsumerMetrics().render()).decode()
    named = set(re.findall(r"\binturn_[a-z][a-z_]+", document.read_text())) - {NETWORK}
    series = {name: re.sub(r"_(bucket|count|sum)$", "", name) for name in named}

    assert [name for name, of in series.items() if f"# TYPE {of} " not in exported] == []


def test_a_wrong_command_is_found() -> None:
    """These tests see what they are for."""
    assert problem_with("dead lists") == "no command lists"
    assert problem_with("trace shop ana --jsn") == "no option --jsn"
    assert problem_with("dead show ID") == problem_with("up") == ""
