"""How many replies a user may have within a minute."""

from __future__ import annotations

from shared.loop_limit import SPAN_S, LoopLimit

ANN, BOB = ("shop", "ann"), ("shop", "bob")


def test_limit_is_each_users_own_and_lasts_a_minute() -> None:
    """Who has had as many waits, nobody else does, and after a minute nobody."""
    now_s = 1000.0
    limit = LoopLimit(2, lambda: now_s)
    limit.count(ANN)
    assert not limit.is_reached(ANN)
    now_s += 1
    limit.count(ANN)
    assert limit.is_reached(ANN)
    assert not limit.is_reached(BOB)
    now_s += SPAN_S - 0.5
    assert not limit.is_reached(ANN)
    limit.count(ANN)
    assert limit.is_reached(ANN)


def test_who_had_a_reply_long_ago_takes_no_memory() -> None:
    """Else an outage would leave every user that it has seen behind."""
    now_s = 1000.0
    limit = LoopLimit(2, lambda: now_s)
    for number in range(100):
        limit.count(("shop", f"user-{number}"))
    now_s += SPAN_S + 1
    assert not limit.is_reached(ANN)
    assert len(limit) == 0
