"""Which messages a pattern matches, and that no text of a stranger's holds anybody up."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shared.instance_settings import InstanceSettings
from shared.model import ClosedBy, Entry, EntryId, Kind, Message
from shared.patterns import (
    MISSING,
    PATTERN_CHARS,
    PATTERNS_MAX,
    TEXT_CHARS,
    check_pattern,
    compile_patterns,
    said_by,
)
from shared.settings import Settings, load_settings
from shared.window import Rules, match_entries, rules_for
from tests.support.problems import problems

MESSAGE = Message("shop", "491700000001", "M1", 1)
RULES = Rules(max_wait_ms=8000, max_messages=5, quiet_ms=0, grace_ms=2000)


def matches(pattern: str, text: str, kind: Kind = Kind.TEXT) -> bool:
    """Whether a list of this one pattern, as the settings take it, matches."""
    patterns = compile_patterns((check_pattern(pattern),))
    assert patterns is not None
    return patterns.match(said_by(structs.replace(MESSAGE, text=text, kind=kind)))


@pytest.mark.parametrize(
    "pattern, text",
    [
        ("stop", "stop"),
        ("stop", "  STOP\n"),
        ("STOP", "Stop"),
        ("that's all", "That’s all"),
        ("that’s   all", "that's all"),
        ("that's all", "THAT'S\n ALL"),
        ("straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("ストップ", "ｽﾄｯﾌﾟ"),
        ("stop", "ＳＴＯＰ"),
        ("❤", "❤️"),
        ("توقف", "\u200fتوقف\u200e"),
        ("/start", "/start"),
        ("/start*", "/start"),
        ("/start*", "/start@our_bot lead-7"),
        ("/order *", "/Order 5 rolls\nand milk"),
        ("*thanks*bye*", "ok, thanks then, good bye!"),
        ("*please", "one more please"),
        ("a*a*a", "aba a"),
        (r"re:order #?\d+", "Order #55"),
        (" re: a.*b ", "  a\n\nB "),
        ("re:(?-i)STOP", "STOP"),
        ("re:[äö]", "Ä"),
    ],
)
def test_what_matches(pattern: str, text: str) -> None:
    """The whole text, whatever its case, its white space and its keyboard's apostrophes."""
    assert matches(pattern, text)


@pytest.mark.parametrize(
    "pattern, text",
    [
        ("stop", "please stop"),
        ("stop", "stop it"),
        ("stop", "stopp"),
        ("stop", ""),
        ("a b", "ab"),
        ("/order *", "/order"),
        ("/order *", "/orders 5"),
        ("*thanks*bye*", "bye, and thanks"),
        ("a*a", "a"),
        ("ab*ba", "aba"),
        ("a*b*b", "ab"),
        ("s.op", "stop"),
        ("re:order", "order now"),
        ("re:order", "my order"),
        ("re:(?-i)STOP", "stop"),
        ("kind:button", "kind:button"),
    ],
)
def test_what_does_not_match(pattern: str, text: str) -> None:
    """A part is not the whole, and only a star or an expression stands for something else."""
    assert not matches(pattern, text)


def test_a_kind_matches_whatever_was_written() -> None:
    """A press, a pick, a voice message; a text of any length changes nothing."""
    assert matches("kind:button", "Yes", Kind.BUTTON)
    assert matches("kind: list", "x" * 10_000, Kind.LIST)
    assert matches("kind:audio", "", Kind.AUDIO)
    assert not matches("kind:button", "Yes", Kind.LIST)


def test_a_text_is_that_of_any_kind() -> None:
    """A button's title and a caption are what the user said."""
    assert matches("yes, please", "Yes, please", Kind.BUTTON)
    assert matches("stop", "stop", Kind.IMAGE)


@pytest.mark.parametrize("pattern", ["x*", "re:x*"])
def test_a_text_that_is_too_long_matches_nothing(pattern: str) -> None:
    """No command is so long, and nobody's time goes into looking."""
    assert matches(pattern, "x" * TEXT_CHARS)
    assert not matches(pattern, "x" * (TEXT_CHARS + 1))


@pytest.mark.parametrize("pattern", [r"re:(a+)+$", r"re:(a|aa)*b", r"re:(.*a){20}", "*a*a*a*a*b"])
def test_no_pattern_backtracks(pattern: str) -> None:
    """What takes others longer than the world has existed is over at once."""
    assert not matches(pattern, "a" * (TEXT_CHARS - 1) + "!")


@given(st.text("abx", max_size=5), st.lists(st.text("abx", max_size=4), max_size=9))
def test_stars_stand_for_anything(text: str, parts: list[str]) -> None:
    """What a pattern's parts are put into, with anything between, is matched by it."""
    assert matches("*".join(["x", *parts, "x"]), text.join(["x", *parts, "x"]))


@given(st.text("abx*", max_size=9), st.text("abx", max_size=9))
def test_stars_are_those_of_a_shell(pattern: str, text: str) -> None:
    """The standard library's wildcards say the same."""
    if pattern.strip("*"):
        assert matches(pattern, text) == fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    "pattern, why",
    [
        ("", "an empty pattern matches nothing"),
        (" \u200e ", "an empty pattern matches nothing"),
        ("*", "matches every message"),
        ("* *", "matches every message"),
        ("kind:buton", "kind:buton: no such kind; possible are text, image"),
        ("kind:", "no such kind"),
        ("re:(a", "re:(a: no regular expression of RE2: missing ): (a"),
        ("re:(?=a)", "no regular expression of RE2: invalid perl operator"),
        (r"re:(a)\1", "no regular expression of RE2: invalid escape sequence"),
        (r"re:\pL{500}", "no regular expression of RE2: pattern too large"),
        ("x" * (PATTERN_CHARS + 1), "a pattern may have 500 characters: xxx"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, why: str) -> None:
    """It is said in which and why."""
    with pytest.raises(ValueError, match=re.escape(why)):
        check_pattern(pattern)


def test_an_expression_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed it is told what to install; all other patterns do without."""
    monkeypatch.setitem(sys.modules, "re2", None)
    assert matches("stop*", "stop it")
    with pytest.raises(ValueError, match="google-re2") as refused:
        check_pattern("re:stop")
    assert str(refused.value) == MISSING
    assert f"({sys.executable} -m pip install google-re2)" in MISSING


def test_no_patterns_are_none() -> None:
    """An instance without patterns costs nothing where messages are read."""
    assert compile_patterns(()) is None
    rules = rules_for(Settings(), "shop")
    assert rules.bypass is rules.flush is None
    entries = [Entry(id=EntryId(1, 0), message=MESSAGE)]
    assert match_entries("shop", entries, lambda _, __: rules) is entries


def test_instances_with_the_same_list_share_it() -> None:
    """Ten thousand accounts behind one connection compile nothing anew."""
    settings = Settings(bypass=("stop",), instances={"own": InstanceSettings(flush=("done",))})
    general = rules_for(settings, "one")
    assert rules_for(settings, "two").bypass is general.bypass
    assert rules_for(settings, "own").bypass is general.bypass
    assert rules_for(settings, "own").flush is not None
    assert general.flush is None


def test_a_message_is_matched_by_what_it_came_through() -> None:
    """Of two connections each has its patterns; a replay is matched by none."""
    stop = replace(RULES, bypass=compile_patterns(("stop",)))

    def rules_of(_instance: str, connection: str | None) -> Rules:
        return stop if connection == "a" else RULES

    through = [structs.replace(MESSAGE, text="stop", connection=name) for name in ("a", "b")]
    entries = [Entry(id=EntryId(n, 0), message=message) for n, message in enumerate(through)]
    found = match_entries("shop", entries, rules_of)
    assert [entry.matched for entry in found] == [ClosedBy.BYPASS, None]
    assert [entry.message for entry in found] == through


# Settings


def test_patterns_are_set_in_general_and_per_instance(
    config: Path,
) -> None:
    """A list, or one alone; an instance has its own instead, an empty list none."""
    config.write_text(
        'bypass = ["stop", "/*"]\nflush = "kind:button"\n'
        '[instances.own]\nbypass = "help"\nflush = []\n'
    )
    settings = load_settings()
    assert (settings.bypass, settings.flush) == (("stop", "/*"), ("kind:button",))
    own = settings.instance("own")
    assert (own.bypass, own.flush) == (("help",), ())
    assert rules_for(settings, "own").flush is None
    assert rules_for(settings, "other").flush is not None


@pytest.mark.parametrize(
    "value, read",
    [("stop", ("stop",)), ('["stop", "re:[a]"]', ("stop", "re:[a]")), ("re:[a]", ("re:[a]",))],
)
def test_the_environment_takes_one_pattern_or_a_list(
    value: str, read: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One needs no brackets."""
    monkeypatch.setenv("INTURN_BYPASS", value)
    assert load_settings().bypass == read


def test_every_bad_pattern_is_told_with_its_setting(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, all at once, and by the name that it was written under."""
    config.write_text(
        'bypass = ["re:(", "kind:knob", "ok"]\n'
        f"[instances.own]\nflush = {['x'] * (PATTERNS_MAX + 1)}\nbypass = 3\n"
    )
    monkeypatch.setenv("INTURN_FLUSH", '["stop"')
    found = problems()
    names = [problem.partition(": ")[0] for problem in found]
    assert sorted(names) == [
        "INTURN_BYPASS",
        "INTURN_BYPASS",
        "INTURN_FLUSH",
        "[instances.own] bypass",
        "[instances.own] flush",
    ]
    assert "re:(: no regular expression" in "".join(found)
