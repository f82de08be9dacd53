"""Which slot a key is in, where keys stand in commands, and who has which slot."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from shared.cluster.looks import LATER_S, LOOK_S, SOON_COUNT, Looks
from shared.cluster.slot_map import SlotMap, place_text, place_told
from shared.cluster.slots import keys_of, slot_of, slot_of_all
from shared.errors import BrokerRefused
from shared.keys import ClinicKeys, Keys
from shared.scripts import load_script

US = ("host-a", 7000)


@given(st.text(alphabet=string.ascii_letters + "{}:é\ud83d\ude00", max_size=12))
def test_slots_are_those_of_another_client(key: str) -> None:
    """With and without a hash tag, and with braces that are none."""
    raw = key.encode(errors="surrogatepass")
    assert slot_of(raw) == key_slot(raw)


def test_what_belongs_together_is_in_one_slot() -> None:
    """A partition, and a clinic's queue."""
    part = Keys("inturn", 16).partition(7)
    clinic = ClinicKeys.of("inturn", "north {1}")
    for base in (part, clinic):
        names = [name for name in base.__slots__ if name not in ("number", "base")]
        slot_of_all([getattr(base, name) for name in names], "test")
    assert slot_of(part.stream("shop {2}")) == slot_of(part.ready)
    assert slot_of(part.seen(0, "shop", "ann")) == slot_of(part.ready)


@pytest.mark.parametrize(
    "command, keys",
    [
        (("HGET", "k", "f"), ("k",)),
        (("EXISTS", "k", "l"), ("k", "l")),
        (("XINFO", "GROUPS", "k"), ("k",)),
        (("EVALSHA", "abc", 2, "k", "l", "arg"), ("k", "l")),
        (("EVAL", load_script("peek").source, 1, "k"), ("k",)),
        (("XREAD", "BLOCK", 10, "STREAMS", "k", "l", "0-0", "0-1"), ("k", "l")),
        (("ZUNION", 2, "k", "l", "WITHSCORES"), ("k", "l")),
    ],
)
def test_keys_are_found(command: tuple[Any, ...], keys: tuple[str, ...]) -> None:
    """Wherever they stand."""
    assert tuple(keys_of(command)) == keys


def test_owners_are_read_out_of_what_a_node_tells() -> None:
    """One that does not know its own host is where it was asked; nobody has what is not named."""
    found = SlotMap.parse(
        [
            [0, 99, [b"host-b", 7001, b"id"], [b"host-c", 7002, b"id"]],
            [100, 199, [b"", 7000, b"id"]],
            [200, 200, [None, 7000, b"id", [b"hostname", b"?"]]],
        ],
        US,
    )

    assert found.owner(0) == found.owner(99) == ("host-b", 7001)
    assert found.owner(100) == found.owner(200) == US
    assert found.owner(201) is None
    assert found.owners() == {US, ("host-b", 7001)}
    assert found.places == {US, ("host-b", 7001), ("host-c", 7002)}
    found.move(99, ("host-d", 1))
    assert (found.owner(98), found.owner(99)) == (("host-b", 7001), ("host-d", 1))


@pytest.mark.parametrize(
    "told, place",
    [
        ("3999 host-b:7001", ("host-b", 7001)),
        ("3999 :7001", ("host-a", 7001)),
        ("3999 ?:7001", ("host-a", 7001)),
        ("3999 ::1:7001", ("::1", 7001)),
    ],
)
def test_a_place_is_read_out_of_a_redirection(told: str, place: tuple[str, int]) -> None:
    """With a host, without one, and of IPv6."""
    assert place_told(BrokerRefused("MOVED", told), US) == place


def test_a_redirection_that_names_nobody_is_none() -> None:
    """It is told as it is."""
    with pytest.raises(ValueError, match="invalid literal"):
        place_told(BrokerRefused("MOVED", "somewhere"), US)


def test_a_place_is_told_to_people() -> None:
    """As in a URL."""
    assert place_text(US) == "host-a:7000"
    assert place_text(("::1", 7000)) == "[::1]:7000"


def test_looks_that_find_nothing_new_become_rare() -> None:
    """After a failover, or a while in which nobody looked, they are quick again."""
    looks, now_s = Looks(), 100.0
    gaps: list[float] = []
    for _ in range(SOON_COUNT + 5):
        now_s += looks.wait_s(now_s)
        looks.end(now_s, has_news=False)
        gaps.append(looks.wait_s(now_s))
    assert max(gaps[:SOON_COUNT]) <= LOOK_S
    assert min(gaps[SOON_COUNT:]) >= LATER_S / 2

    looks.end(now_s, has_news=True)
    assert looks.wait_s(now_s) <= LOOK_S
    for _ in range(SOON_COUNT + 5):
        looks.end(now_s, has_news=False)
    now_s += 10 * LATER_S
    assert looks.wait_s(now_s) == 0
    looks.end(now_s, has_news=False)
    assert looks.wait_s(now_s) <= LOOK_S


def test_a_map_is_news_when_a_slot_is_elsewhere() -> None:
    """Another replica is none."""
    one = SlotMap.parse([[0, 9, [b"a", 1], [b"b", 1]]], US)
    assert one == SlotMap.parse([[0, 9, [b"a", 1]]], US)
    assert one != SlotMap.parse([[0, 8, [b"a", 1]], [9, 9, [b"b", 1]]], US)
    assert one != SlotMap.parse([], US)
