"""Forgetting a user whose messages are on a disk, in folders of the living and of the dead."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.append import RedisAppender
from ingest.forgets import Forgets
from ingest.remember import RedisMemory
from ingest.spool.files import survey_folder
from ingest.spool.folder import HeldFolder
from ingest.spool.payload import (
    Became,
    Erased,
    Outcome,
    Spooled,
    decode_record,
    encode_outcome,
    encode_spooled,
    key_of,
)
from ingest.spool.record import pack_record, scan_records
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool, now_ms
from shared.connect import Pipe
from shared.forget import Forgetter
from shared.forget.asked import Asked, ask_to_forget, look_at_heeding
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import EntryId
from shared.redis_time import time_ms_at
from shared.wire import OutboxReply
from tests.support.spooling import DEDUPE_MS, INSTANCE, RETENTION_MS, message, stored

ANA, BEN = "491700000001", "4917000000011"
HOUR_MS = 3_600_000


def payload(number: int, user: str, at: int) -> bytes:
    """A message's record."""
    return encode_spooled(Spooled(message=message(number, user, f"said by {user}"), at=at))


def outcome(number: int, user: str, at: int) -> Outcome:
    """That a message was answered while Redis was away, with a reply that has not left."""
    one = message(number, user)
    reply = OutboxReply(
        window_id="w_1",  # type: ignore[arg-type]
        instance=INSTANCE,
        user=user,
        texts=(f"reply to {user}",),
        provider=None,
        reply_to=None,
        message_ids=(one.message_id,),
    )
    return Outcome(key=key_of(one), entry_id=EntryId(at, 1), became=Became.ANSWERED, reply=reply)


def write(folder: HeldFolder, name: str, *payloads: bytes, tail: bytes = b"") -> Path:
    """A file of records."""
    file = folder.path / name
    file.write_bytes(b"".join(map(pack_record, payloads)) + tail)
    return file


def leave(root: Path, keys: Keys, at: int) -> HeldFolder:
    """Everything that may stand in a folder, of two users; it is held."""
    folder = HeldFolder.create(root, keys.prefix)
    ana, ben = (encode_outcome(outcome(1, user, at)) for user in (ANA, BEN))
    write(folder, "000000000001.spool", *(payload(1, user, at) for user in (ANA, BEN)), ana, ben)
    write(folder, "000000000002.spool", payload(3, ANA, at), payload(3, BEN, at))
    write(folder, "refused", payload(4, ANA, at), payload(4, BEN, at))
    write(folder, "000000000000.damaged", payload(5, ANA, at), payload(5, BEN, at), tail=b"torn")
    return folder


def holding(root: Path, planted: str) -> list[Path]:
    """The files in which a text stands; an id with what JSON puts around it."""
    return [
        file for file in root.rglob("*") if file.is_file() and planted.encode() in file.read_bytes()
    ]


@pytest.fixture
async def forgets(pipe: Pipe, keys: Keys, tmp_path: Path) -> AsyncIterator[Forgets]:
    """An ingest process that has begun to ask."""
    heeding = Forgets(pipe, keys, tmp_path, "machine:1:a")
    await heeding.heed()
    yield heeding
    await heeding.leave()


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_disk_holds_nothing_of_a_user_any_more(
    forgets: Forgets, pipe: Pipe, keys: Keys, tmp_path: Path, *, is_held: bool
) -> None:
    """Records are overwritten where they stand: no size changes, and nobody else's does."""
    folder = leave(tmp_path, keys, now_ms())
    if not is_held:
        folder.release()
    other = HeldFolder.create(tmp_path, "of-other-data")
    write(other, "000000000001.spool", payload(1, ANA, now_ms()))
    files = [file for file in folder.path.iterdir() if file.name != "lock"]
    sizes = {file: file.stat().st_size for file in files}
    bens = {file: file.read_bytes().count(f'"{BEN}"'.encode()) for file in files}
    damaged = sum(sealed.damaged for sealed in survey_folder(folder.path))

    asked, asked_ms = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    assert (await look_at_heeding(pipe, keys, asked, asked_ms)).awaited == ("machine:1:a",)
    await forgets.heed()

    assert (await look_at_heeding(pipe, keys, asked, asked_ms)).heeded == 1
    assert {file.parent for file in holding(tmp_path, f'"{ANA}"')} == {other.path}
    assert holding(folder.path, f'said by {ANA}"') == []
    assert {file: file.stat().st_size for file in files} == sizes
    assert {file: file.read_bytes().count(f'"{BEN}"'.encode()) for file in files} == bens
    assert sum(sealed.damaged for sealed in survey_folder(folder.path)) == damaged


async def test_what_cannot_be_read_is_not_said_to_be_clean(
    forgets: Forgets, pipe: Pipe, keys: Keys, tmp_path: Path
) -> None:
    """A folder stands where a file should: somebody has to see to it."""
    folder = leave(tmp_path, keys, now_ms())
    (folder.path / "000000000009.spool").mkdir()
    asked, asked_ms = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    with pytest.raises(IsADirectoryError):
        await forgets.heed()
    async with forgets.replaying():
        assert (await look_at_heeding(pipe, keys, asked, asked_ms)).heeded == 0


async def test_what_is_overwritten_is_on_the_disk_before_that_is_said(
    forgets: Forgets, pipe: Pipe, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses its power then does not bring it back."""
    folder = leave(tmp_path, keys, now_ms())
    synced: set[int] = set()
    sync = os.fsync

    def note_and_sync(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", note_and_sync)
    named = {file.stat().st_ino for file in holding(folder.path, f'"{ANA}"')}
    await ask_to_forget(pipe, keys, INSTANCE, ANA)
    await forgets.heed()
    assert synced == named


async def test_what_came_later_stays(
    forgets: Forgets, pipe: Pipe, keys: Keys, tmp_path: Path
) -> None:
    """A message that was spooled after the wish is a new one."""
    folder = HeldFolder.create(tmp_path, keys.prefix)
    await ask_to_forget(pipe, keys, INSTANCE, ANA)
    file = write(
        folder,
        "000000000001.spool",
        payload(1, ANA, now_ms() - HOUR_MS),
        payload(2, ANA, now_ms() + HOUR_MS),
    )
    await forgets.heed()
    old, new = scan_records(file.read_bytes()).records
    assert isinstance(decode_record(old.payload), Erased)
    assert isinstance(decode_record(new.payload), Spooled)


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS])
async def test_a_machine_whose_clock_is_wrong(pipe: Pipe, keys: Keys, ahead_ms: int) -> None:
    """Its times are taken for what they are in Redis's clock, at the distance of now."""
    _, asked_ms = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    here_ms = await time_ms_at(pipe, keys.forgets) - ahead_ms
    asked = Asked(pipe, keys)
    await asked.hear(here_ms)
    last_ms = asked_ms - asked.ahead_ms
    assert abs(last_ms - here_ms) < 60_000
    assert asked.covers(INSTANCE, ANA, last_ms)
    assert not asked.covers(INSTANCE, ANA, last_ms + 1)
    assert not asked.covers(INSTANCE, BEN, last_ms)
    assert not asked.covers("other", ANA, last_ms)


async def test_a_replay_passes_over_who_was_forgotten_meanwhile(
    pipe: Pipe, keys: Keys, tmp_path: Path, redis_url: str
) -> None:
    """Also where its file was not erased: neither message nor outcome gets into Redis."""
    leave(tmp_path, keys, now_ms()).release()
    metrics = IngestMetrics(InstanceLabels(1))
    spool = Spool(tmp_path, keys.prefix, 1 << 30, metrics, now_ms)
    try:
        forgets = Forgets(pipe, keys, tmp_path)
        appender = RedisAppender(pipe, keys, DEDUPE_MS, metrics)
        memory = RedisMemory(pipe, keys, DEDUPE_MS, RETENTION_MS)
        replayer = Replayer(spool, appender, memory, metrics, forgets=forgets)
        await spool.adopt()
        await Forgetter(pipe, keys).forget(INSTANCE, ANA)
        assert len(holding(tmp_path, f'"{ANA}"')) == 4
        for folder, sealed in spool.backlog():
            await replayer.replay_file(folder, sealed)
        assert [one.message_id for one in await stored(redis_url, keys)] == [f"{BEN}-3"]
        [(_, fields)] = await pipe.call("XRANGE", keys.of(INSTANCE, ANA).outbox, "-", "+")
        assert f"reply to {BEN}".encode() in fields[1]
        left = [file.name for file in holding(tmp_path, f'"{ANA}"')]
        assert left == ["000000000000.damaged", "refused"]
    finally:
        spool.close()


async def test_an_erased_file_is_replayed(
    forgets: Forgets, pipe: Pipe, keys: Keys, tmp_path: Path, redis_url: str
) -> None:
    """What was erased is passed over, and counts neither as damage nor as lost."""
    leave(tmp_path, keys, now_ms()).release()
    await ask_to_forget(pipe, keys, INSTANCE, ANA)
    await forgets.heed()
    metrics = IngestMetrics(InstanceLabels(1))
    spool = Spool(tmp_path, keys.prefix, 1 << 30, metrics, now_ms)
    try:
        appender = RedisAppender(pipe, keys, DEDUPE_MS, metrics)
        memory = RedisMemory(pipe, keys, DEDUPE_MS, RETENTION_MS)
        replayer = Replayer(spool, appender, memory, metrics, forgets=forgets)
        await spool.adopt()
        for folder, sealed in spool.backlog():
            await replayer.replay_file(folder, sealed)
        assert [one.message_id for one in await stored(redis_url, keys)] == [f"{BEN}-3"]
        assert spool.messages == 0
        assert metrics.registry.get_sample_value("inturn_spool_damaged_total") == 0
        assert metrics.registry.get_sample_value("inturn_spool_refused_total") == 0
    finally:
        spool.close()


async def test_a_process_that_starts_heeds_what_was_asked_before(
    pipe: Pipe, keys: Keys, tmp_path: Path
) -> None:
    """Its machine was away: the wish is still there, and the disk is erased before it answers."""
    leave(tmp_path, keys, now_ms()).release()
    asked, asked_ms = await ask_to_forget(pipe, keys, INSTANCE, ANA)
    late = Forgets(pipe, keys, tmp_path, "machine:2:b")
    await late.heed()
    assert holding(tmp_path, f'"{ANA}"') == []
    assert (await look_at_heeding(pipe, keys, asked, asked_ms)).heeded == 1
    await late.leave()
    assert (await look_at_heeding(pipe, keys, asked, asked_ms)).heeded == 0


async def test_who_does_not_answer_is_told_of(pipe: Pipe, keys: Keys, tmp_path: Path) -> None:
    """One that asks and has not heeded is waited for, one that was silent before is only named."""
    now = await time_ms_at(pipe, keys.heeded)
    await pipe.call("HSET", keys.heeded, "busy", f"0-0 {now}", "gone", f"0-0 {now - HOUR_MS}")
    await pipe.call("HSET", keys.heeded, "buried", f"0-0 {now - 25 * HOUR_MS}")
    report = await Forgetter(pipe, keys, wait_s=0.3).forget(INSTANCE, ANA)
    heeding = report.heeding
    assert (heeding.heeded, heeding.awaited, heeding.silent) == (0, ("busy",), ("gone",))
