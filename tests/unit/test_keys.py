"""The names of everything in Redis."""

from __future__ import annotations

import unicodedata
import zlib
from dataclasses import fields
from urllib.parse import unquote

import pytest

from shared.keys import (
    Keys,
    PartitionKeys,
    conversation_field,
    conversation_hash,
    conversation_of_field,
    is_instance_name,
    message_hash,
    partition_of,
    sent_hash,
)
from shared.model import EntryId, window_id
from tests.support.let_go import left_of

ODD_NAMES = ["shop", "a:stream:b", "{7}", "50% off", "käse/é", "店", " ", "a" * 128, "x\u200by"]


def names_of(partition: PartitionKeys) -> list[str]:
    """Every key that a partition has, whatever its instances and users are called."""
    names = [getattr(partition, f.name) for f in fields(partition) if f.name != "number"]
    return [
        *names,
        partition.stream("{0}"),
        partition.seen(0, "{0}", "1"),
        partition.seen(1, "", ""),
        *partition.both_sent(b"\x00" * 12),
        *partition.both_sent(b"\xff" * 12),
        partition.human("{0}", "1"),
    ]


def test_keys_are_those_of_the_design() -> None:
    """Other tools rely on them: a change is a new layout version."""
    keys = Keys("inturn", 16)
    p = keys.partition(3)
    assert p.stream("my shop") == "inturn:{3}:stream:my%20shop"
    named = (p.streams, p.ready, p.bell, p.lease, p.epoch, p.running)
    assert [name.removeprefix("inturn:{3}:") for name in named] == [
        "streams",
        "ready",
        "bell",
        "lease",
        "epoch",
        "running",
    ]
    assert p.both_seen("a", "b") == (p.seen(0, "a", "b"), p.seen(1, "a", "b"))
    more = (p.outbox, p.sending, p.journal, p.dead, p.muted)
    assert [name.removeprefix("inturn:{3}:") for name in more] == [
        "outbox",
        "sending",
        "journal",
        "dead",
        "muted",
    ]
    assert (keys.workers, keys.worker("w1")) == ("inturn:workers", "inturn:worker:w1")
    assert (keys.meta, keys.settings) == ("inturn:meta", "inturn:settings")
    assert keys.bell == "inturn:bell"


def test_every_key_of_a_partition_has_its_hash_tag() -> None:
    """A script on them touches one slot: the first braces hold the number, and no later ones do."""
    for number in (0, 15):
        for name in names_of(Keys("inturn", 16).partition(number)):
            assert name.startswith(f"inturn:{{{number}}}")
            assert name.count("{") == name.count("}") == 1


def test_no_two_keys_are_the_same() -> None:
    """Neither within a partition nor between two."""
    keys = Keys("inturn", 2)
    names = [name for number in (0, 1) for name in names_of(keys.partition(number))]
    assert len(set(names)) == len(names)


def test_partition_is_fixed_and_spreads() -> None:
    """The formula is the data's: known values, and no partition of 16 far from its share."""
    assert partition_of("shop", "4917", 16) == zlib.crc32(b"shop\x004917") % 16
    assert partition_of("shop", "4917", 1) == 0
    users = 16_000
    counts = [0] * 16
    for user in range(users):
        counts[partition_of("shop", str(user), 16)] += 1
    assert max(counts) < 1.2 * users / 16
    assert min(counts) > 0.8 * users / 16


def test_keys_of_a_conversation_are_its_partitions() -> None:
    """``of`` and ``partition`` agree."""
    keys = Keys("inturn", 16)
    assert keys.of("shop", "1") == keys.partition(partition_of("shop", "1", 16))
    assert keys.partition(1) is keys.partition(1)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_stream_key_gives_its_instance_back(name: str) -> None:
    """Percent-encoded whole, so that no name can reach into another key."""
    written = Keys("inturn", 4).partition(2).stream(name).removeprefix("inturn:{2}:stream:")
    assert unquote(written) == name
    assert written.isascii()
    assert not set(written) & set(":{} /")


@pytest.mark.parametrize("user", ["1", "", "a\0b", "店", "49170@s.whatsapp.net"])
def test_conversation_field_gives_both_back(user: str) -> None:
    """An instance name holds no NUL, so the first one parts them."""
    assert conversation_of_field(conversation_field("shop", user)) == ("shop", user)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_instance_names_may_be_odd(name: str) -> None:
    """Any 1 to 128 characters without control characters."""
    assert is_instance_name(name)


@pytest.mark.parametrize("name", ["", "a" * 129, "a\nb", "a\0", "\x7f", "\x85", "\ud800"])
def test_unprintable_names_are_refused(name: str) -> None:
    """Empty, too long, control characters, half a surrogate pair."""
    assert not is_instance_name(name)


def test_every_control_character_is_refused_alone_and_beside_others() -> None:
    """Also where the rest of the name is not ASCII, and no printable character is."""
    for number in range(0x100):
        char = chr(number)
        allowed = unicodedata.category(char) != "Cc"
        assert [is_instance_name(name) for name in (char, f"a{char}", f"é{char}")] == [allowed] * 3


def test_hashes_hide_and_do_not_collide() -> None:
    """Users and message ids never stand in a key; who and instance cannot be shifted."""
    assert len(conversation_hash("shop", "1")) == 32
    assert conversation_hash("shop", "1") != conversation_hash("sho", "p1")
    assert "491700000001" not in Keys("inturn", 1).partition(0).seen(0, "shop", "491700000001")
    assert len(message_hash("A")) == 12
    assert message_hash("A") != message_hash("a")
    assert len(sent_hash("shop", "1", "A")) == 12
    assert sent_hash("shop", "1", "A") != sent_hash("shop", "2", "A")


def test_hashes_and_window_ids_are_fixed() -> None:
    """Known values: another one would forget what is known, and hand windows out under new ids."""
    assert conversation_hash("shop", "ana") == "347ef9e0d6d9be54df4d3e3bfe8d27e3"
    assert message_hash("3EB0").hex() == "552aeab5c3c1cce7a8cc709d"
    first = EntryId(1_700_000_000_000, 3)
    assert window_id("shop", "5511", first) == "w_az57ukwl7n2u4i5bfyjiauumvu"


def test_keys_go_with_their_last_use() -> None:
    """A report makes its own for each look: they do not wait for the collector."""
    with left_of(Keys) as left:
        assert Keys("p", 4).partition(3).number == 3
        assert left() == []
