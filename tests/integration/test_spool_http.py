"""``GET /api/v1/spool`` over a real connection, on real files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.record import pack_record
from ingest.spool.spool import Spool
from ingest.spool_api import PATH, SpoolApi
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.documented import checked
from tests.support.ingest_server import serving
from tests.support.spooling import message

PHONE = "+491700000001"
OUR_MESSAGES_AT = 1_760_000_000_000


async def ask(settings: Settings, metrics: IngestMetrics, **limits: int) -> Any:
    """The answer, which is as the document says."""
    async with serving(settings, routes=SpoolApi(settings, metrics, **limits).routes()) as server:
        answer = await server.request("GET", PATH)
    assert answer.status == 200, answer.body
    assert PHONE not in answer.body.decode()
    return checked(answer.json, "Spool")


def leave(root: Path, *numbers: int) -> None:
    """What a process leaves behind that is gone."""
    folder = HeldFolder.create(root, "inturn")
    payloads = (encode_spooled(Spooled(message=message(n, user=PHONE), at=1)) for n in numbers)
    (folder.path / "000000000001.spool").write_bytes(b"".join(map(pack_record, payloads)))
    folder.release()


async def test_our_own_and_what_others_left(tmp_path: Path) -> None:
    """How much waits in this process, and in which folders on the disk; neither text nor user."""
    settings, metrics = Settings(spool_dir=tmp_path), IngestMetrics(InstanceLabels(1))
    leave(tmp_path, 1, 2, 3)
    clock_ms = [OUR_MESSAGES_AT]
    spool = Spool(tmp_path, "inturn", 1 << 20, metrics, lambda: clock_ms[0])
    try:
        await spool.put([message(4, user=PHONE)])
        clock_ms[0] += 5000
        found = await ask(settings, metrics)
    finally:
        spool.close()
    assert (found["messages"], found["oldest_s"], found["on_outage"]) == (1, 5.0, "spool")
    # made within one millisecond, they have no order
    assert {(one["messages"], one["held_by"], one["is_ours"]) for one in found["folders"]} == {
        (3, None, False),
        (1, os.getpid(), True),
    }
    assert len(found["folders"]) == 2
    assert found["is_counted"] is True
    assert 0 < found["used_bytes"] < found["max_bytes"]
    assert found["told_by"].endswith(f":{os.getpid()}")


async def test_without_a_spool_nothing_waits(tmp_path: Path) -> None:
    """Asking creates no folder."""
    settings = Settings(spool_dir=tmp_path / "none", on_outage="reject")
    found = await ask(settings, IngestMetrics(InstanceLabels(1)))
    assert (found["messages"], found["used_bytes"], found["folders"]) == (0, 0, [])
    assert not (tmp_path / "none").exists()


async def test_what_is_large_is_not_read_to_be_counted(tmp_path: Path) -> None:
    """Ingest, which is spooling then, has better things to do; its own count costs nothing."""
    leave(tmp_path, 1, 2, 3)
    settings = Settings(spool_dir=tmp_path)
    found = await ask(settings, IngestMetrics(InstanceLabels(1)), counted_bytes=10)
    assert (found["is_counted"], found["folders"]) == (False, [])
    assert found["used_bytes"] > 10
