"""F13: a process starts over a spool that was truncated or had its bits flipped."""

from __future__ import annotations

import errno
import os
import random
from itertools import accumulate
from pathlib import Path

import pytest
import structlog

from ingest.spool.files import CURSOR, cursor_line
from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.record import pack_record
from ingest.spool.spool import Spool
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from tests.support.spooling import message, spooled_in, spooling, stored

FLIPS = 50
RECORDS = [
    pack_record(encode_spooled(Spooled(message=message(number), at=number))) for number in range(8)
]
ENDS = list(accumulate(len(record) for record in RECORDS))
WHOLE = b"".join(RECORDS)


def leave_behind(root: Path, prefix: str, data: bytes) -> Path:
    """A folder of a process that is gone, with one file; the file."""
    root.mkdir(exist_ok=True)
    folder = HeldFolder.create(root, prefix)
    file = folder.path / "000000000001.spool"
    file.write_bytes(data)
    folder.release()
    return file


async def adopted(root: Path, prefix: str) -> tuple[list[int], float]:
    """The numbers of the messages that a starting process finds, and the damage that it counts."""
    metrics = IngestMetrics(InstanceLabels(1))
    spool = Spool(root, prefix, 1 << 30, metrics, lambda: 0)
    try:
        await spool.adopt()
        numbers = [
            spooled.message.received_at
            for folder, sealed in spool.backlog()
            for spooled in (spooled_in(one.payload) for one in folder.read(sealed).records)
        ]
    finally:
        spool.close()
    return numbers, sample(metrics)


def sample(metrics: IngestMetrics) -> float:
    """``inturn_spool_damaged_total``."""
    value = metrics.registry.get_sample_value("inturn_spool_damaged_total")
    assert value is not None
    return value


async def test_truncated_at_every_byte_of_its_last_records(tmp_path: Path) -> None:
    """Every record before the cut is found, the cut one is counted, and the start goes on."""
    for cut in range(ENDS[-4], ENDS[-1] + 1):
        root = tmp_path / str(cut)
        leave_behind(root, "p", WHOLE[:cut])

        found, damaged = await adopted(root, "p")

        assert found == list(range(sum(end <= cut for end in ENDS)))
        assert damaged == (cut not in ENDS)


async def test_bits_flipped_at_random(tmp_path: Path) -> None:
    """One flipped bit costs one record, which is counted; the others are found."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"TEST_SEED={seed}")  # noqa: T201  a failure shows it
    chance = random.Random(seed)
    for flip in range(FLIPS):
        bit = chance.randrange(len(WHOLE) * 8)
        data = bytearray(WHOLE)
        data[bit // 8] ^= 1 << bit % 8
        root = tmp_path / str(flip)
        leave_behind(root, "p", bytes(data))

        found, damaged = await adopted(root, "p")

        hit = next(number for number, end in enumerate(ENDS) if bit // 8 < end)
        assert found == [number for number in range(8) if number != hit], bit
        assert damaged == 1


async def test_damage_is_told_and_kept_and_the_rest_replayed(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    """What can be read is in Redis, the damaged file stays for a person, and the log says so."""
    data = bytearray(WHOLE)
    data[ENDS[2] + 20] ^= 1
    file = leave_behind(tmp_path / "spool", keys.prefix, bytes(data))

    with structlog.testing.capture_logs() as logs:
        async with spooling(redis_url, keys, tmp_path / "spool") as made:
            await made.online()
            assert not await made.send(8)

    found = [one.received_at for one in await stored(redis_url, keys)]
    assert found == [0, 1, 2, 4, 5, 6, 7, 8]
    assert sample(made.metrics) == 1
    assert [line for line in logs if line["event"] == "spool.damaged"]
    assert file.with_suffix(".damaged").read_bytes() == bytes(data)
    assert not file.exists()


async def test_damage_is_kept_also_if_its_finder_died(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    """A replay that goes on behind the damage does not remove what a person could mend."""
    data = bytearray(WHOLE)
    data[ENDS[2] + 20] ^= 1
    file = leave_behind(tmp_path / "spool", keys.prefix, bytes(data))
    (file.parent / CURSOR).write_bytes(cursor_line(file.name, ENDS[5]))

    async with spooling(redis_url, keys, tmp_path / "spool") as made:
        await made.online()

    assert [one.received_at for one in await stored(redis_url, keys)] == [6, 7]
    assert file.with_suffix(".damaged").read_bytes() == bytes(data)


async def test_a_damaged_cursor_repeats_and_loses_nothing(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    """A cursor is believed only whole: else the file is replayed from its beginning."""
    file = leave_behind(tmp_path / "spool", keys.prefix, WHOLE)
    (file.parent / CURSOR).write_text(f"{file.name} {ENDS[5]:012d} 00000000\n")

    async with spooling(redis_url, keys, tmp_path / "spool") as made:
        await made.online()

    assert [one.received_at for one in await stored(redis_url, keys)] == list(range(8))


async def test_what_is_no_spool_of_ours_is_left_alone(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    """What was spooled for other data, and files that happen to lie there, stay as they are."""
    root = tmp_path / "spool"
    foreign = leave_behind(root, "another-prefix", WHOLE)
    (root / "notes.txt").write_text("mine")
    (root / "photos").mkdir()
    (root / "empty").mkdir()
    (root / "photos" / "a.jpg").write_bytes(b"\xff\xd8")

    async with spooling(redis_url, keys, root) as made:
        await made.online()

    assert await stored(redis_url, keys) == []
    assert foreign.read_bytes() == WHOLE
    assert (root / "photos" / "a.jpg").exists()
    assert (root / "empty").exists()


async def test_a_file_that_cannot_be_opened_now_is_not_damaged(
    redis_url: str, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor the start goes on, and the replay is tried again until it works."""
    leave_behind(tmp_path / "spool", keys.prefix, WHOLE)
    read, failures = Path.read_bytes, [errno.EMFILE] * 3

    def fail_first(path: Path) -> bytes:
        if path.suffix == ".spool" and failures:
            raise OSError(failures.pop(), "too many open files")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail_first)
    async with spooling(redis_url, keys, tmp_path / "spool") as made:
        await made.online()

    assert not failures
    assert sample(made.metrics) == 0
    assert [one.received_at for one in await stored(redis_url, keys)] == list(range(8))


async def test_a_file_that_the_disk_cannot_read_is_kept(
    redis_url: str, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector blocks nothing: it is counted, the file is set aside, and the rest goes on."""
    file = leave_behind(tmp_path / "spool", keys.prefix, WHOLE)
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.suffix == ".spool":
            raise OSError(errno.EIO, "input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    async with spooling(redis_url, keys, tmp_path / "spool") as made:
        await made.online()
        assert not await made.send(9)

    assert sample(made.metrics) == 1
    assert file.with_suffix(".damaged").exists()
