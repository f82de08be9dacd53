"""What may be set at run time, how it stands in Redis, and what then holds."""

from __future__ import annotations

from typing import Any

import pytest
from annotated_types import Ge, Le

from shared.instance_settings import WindowSettings
from shared.settings import Settings
from shared.steering import (
    NAMES,
    NOT_STEERED,
    NUMBERS,
    Set,
    Source,
    Steering,
    Value,
    change_problem,
    changed_field,
    check_value,
    connection_of,
    decode_steering,
    encode_value,
    field_of,
    in_force,
)
from shared.window import rules_for


def steered(**instances: dict[str, Value]) -> Steering:
    """What stands in Redis after these were set, at 7 ms."""
    flat: list[bytes] = []
    for instance, values in instances.items():
        for name, value in values.items():
            flat += (field_of(instance, name).encode(), f"7 {encode_value(value)}".encode())
        flat += (changed_field(instance).encode(), b"9")
    return decode_steering(flat)


@pytest.mark.parametrize(
    "name, value, kept",
    [
        ("max_wait_ms", 1, 1),
        ("max_wait_ms", 3_600_000.0, 3_600_000),
        ("max_messages", 1000, 1000),
        ("quiet_ms", 0, 0),
        ("grace_ms", 0, 0),
        ("mode", "pass_through", "pass_through"),
        ("paused", True, True),
        ("paused", False, False),
    ],
)
def test_what_may_be_set(name: str, value: Any, kept: Value) -> None:
    """A whole number is one in every form that JSON has."""
    found = check_value(name, value)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    "name, value, possible",
    [
        ("max_wait_ms", 0, "max_wait_ms must be a whole number from 1 to 3600000"),
        ("max_wait_ms", 1.5, "max_wait_ms must be a whole number from 1 to 3600000"),
        ("max_messages", 1001, "max_messages must be a whole number from 1 to 1000"),
        ("max_messages", True, "max_messages must be a whole number from 1 to 1000"),
        ("quiet_ms", -1, "quiet_ms must be a whole number from 0 to 3600000"),
        ("grace_ms", "2", "grace_ms must be a whole number from 0 to 3600000"),
        ("grace_ms", float("inf"), "grace_ms must be a whole number from 0 to 3600000"),
        ("mode", "windows", "mode must be window or pass_through"),
        ("mode", None, "mode must be window or pass_through"),
        ("paused", 1, "paused must be true or false"),
        ("handler", "echo", "handler cannot be set at run time; possible are mode, max_wait_ms"),
    ],
)
def test_what_may_not_be_set(name: str, value: Any, possible: str) -> None:
    """The error names the setting and what is possible."""
    with pytest.raises(ValueError, match=possible):
        check_value(name, value)


@pytest.mark.parametrize("name", ["max_wait_ms", "max_messages"])
def test_the_bounds_are_those_of_the_settings(name: str) -> None:
    """What a file may say may be said at run time, and nothing else."""
    fields = (WindowSettings.model_fields[name], Settings.model_fields[name])
    for metadata in (one.metadata for one in fields):
        assert {Ge(NUMBERS[name][0]), Le(NUMBERS[name][1])} <= set(metadata)


def test_run_time_goes_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the instance's own, the general settings, and the defaults; each is named."""
    monkeypatch.setenv("INTURN_QUIET_MS", "500")
    settings = Settings(instances={"shop": {"max_messages": 3, "mode": "pass_through"}})
    found = in_force(settings, NOT_STEERED, "shop")
    assert {name: (one.value, one.source.value) for name, one in found.items()} == {
        "mode": ("pass_through", "instance"),
        "max_wait_ms": (8000, "default"),
        "max_messages": (3, "instance"),
        "quiet_ms": (500, "settings"),
        "grace_ms": (2000, "default"),
        "paused": (False, "default"),
    }

    steering = steered(shop={"max_messages": 9, "mode": "window", "quiet_ms": 100, "paused": True})
    found = in_force(settings, steering, "shop")
    one = found["max_messages"]
    assert (one.value, one.source, one.configured, one.since) == (9, Source.RUN_TIME, 3, 7)
    assert (found["paused"].value, found["paused"].since) == (True, 7)
    rules = rules_for(settings, "shop", None, steering)
    assert (rules.max_messages, rules.quiet_ms, rules.pass_through) == (9, 100, False)
    assert rules_for(settings, "other", None, steering) == rules_for(settings, "other")


def test_every_setting_reaches_the_rules() -> None:
    """What is accepted has an effect, on the windows or on whether they start."""
    plain = rules_for(Settings(), "shop")
    values: dict[str, Value] = {"mode": "pass_through", **dict.fromkeys(NUMBERS, 77)}
    for name, value in values.items():
        assert rules_for(Settings(), "shop", None, steered(shop={name: value})) != plain
    assert values.keys() | {"paused"} == set(NAMES)


def test_a_connection_steers_what_is_behind_it() -> None:
    """Also accounts that no instance names; what is set for an account itself goes before it."""
    settings = Settings(
        instances={"main": {"provider": "telegram"}, "alone": {"provider": "telegram"}}
    )
    steering = steered(main={"paused": True, "max_messages": 2}, branch={"paused": False})
    assert connection_of(settings, "unnamed", "main") == "main"
    assert connection_of(settings, "alone", "main") is None
    assert steering.is_paused("unnamed", "main")
    assert not steering.is_paused("branch", "main")
    assert rules_for(settings, "branch", "main", steering).max_messages == 2
    assert rules_for(settings, "alone", "main", steering).max_messages == 5
    assert steering.changed_ms("unnamed", "main") == 9
    assert steering.paused() == ["main"]


def test_contradicting_values_hold_as_far_as_they_can() -> None:
    """They may come from different places: a quiet time is never longer than the wait."""
    rules = rules_for(Settings(quiet_ms=5000), "shop", None, steered(shop={"max_wait_ms": 900}))
    assert (rules.max_wait_ms, rules.quiet_ms) == (900, 900)


def test_a_change_that_contradicts_itself_is_refused() -> None:
    """By the values that would hold afterwards; a pause is never refused for them."""
    settings = Settings(quiet_ms=5000, dedupe_ms=60_000)

    def problem(**changes: Value | None) -> str | None:
        steering = steered(shop={"max_wait_ms": 6000})
        return change_problem(settings, steering, "shop", changes)

    assert problem(quiet_ms=6000) is None
    assert problem(quiet_ms=6001) == (
        "quiet_ms would be 6001: it must not exceed max_wait_ms, which is 6000"
    )
    assert "would be 5000" in (problem(max_wait_ms=4999) or "void")
    assert problem(max_wait_ms=4999, quiet_ms=0) is None
    assert "INTURN_DEDUPE_MS, 60000" in (problem(max_wait_ms=58_001) or "void")
    assert problem(max_wait_ms=58_000) is None
    contradicting = Settings(instances={"shop": {"max_wait_ms": 10, "quiet_ms": 20}})
    assert change_problem(contradicting, NOT_STEERED, "shop", {"paused": True}) is None


def test_what_cannot_be_read_is_told_and_counts_as_not_set() -> None:
    """A later version, or a stranger's hand, stops nobody."""
    found = decode_steering(
        [
            *(b"revision", b"r1"),
            *(b"shop\0mode", b'7 "pass_through"'),
            *(b"shop\0max_wait_ms", b"7 0"),
            *(b"shop\0tempo", b"7 3"),
            *(b"shop\0quiet_ms", b"nonsense"),
            *(b"nonsense", b"1"),
            *(b"\xff\0paused", b"x true"),
        ]
    )
    assert found.revision == b"r1"
    assert found.by_instance == {"shop": {"mode": Set("pass_through", 7)}}
    assert len(found.unreadable) == 5
    assert not found.is_paused("shop", None)
