"""The raw stream out of an append-only file: what the ledger judges windows by."""

from __future__ import annotations

from pathlib import Path

import orjson

from ops.chaos.asking import COMMAND, STOP_WORD
from ops.chaos.cutter import Raw
from ops.chaos.history import append_only_files, read_history


def command(*parts: str) -> bytes:
    """As Redis writes it into its file."""
    texts = [part.encode() for part in parts]
    lines = b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)
    return b"*%d\r\n%s" % (len(texts), lines)


def entry(message_id: str, text: str = "a\r\nb", user: str = "ann") -> str:
    """An entry's value."""
    return orjson.dumps({"v": 1, "user": user, "message_id": message_id, "text": text}).decode()


def test_every_entry_is_found_with_its_id(tmp_path: Path) -> None:
    """Also one that was trimmed, deleted since, or belongs to an instance with a strange name."""
    (tmp_path / "appendonly.aof").write_bytes(
        command("SELECT", "0")
        + command("XADD", "x:{3}:stream:shop%201", "1700-0", "m", entry("A"))
        + command("XADD", "x:{3}:stream:shop%201", "MAXLEN", "=", "4", "1700-1", "m", entry("B"))
        + command("XDEL", "x:{3}:stream:shop%201", "1700-0")
        + command("XADD", "y:{3}:stream:shop", "1701-0", "m", entry("C"))
        + command("XADD", "x:{3}:outbox", "1702-0", "m", '{"window_id":"w_1"}')
        + command("XADD", "x:{3}:journal", "1703-0", "what", "sent")
        + b"*5\r\n$4\r\nXADD\r\n$9\r\ncut off"
    )
    history = read_history(tmp_path, "x")
    assert history.raw == {("shop 1", "ann"): [Raw(1700, 0, "A"), Raw(1700, 1, "B")]}
    assert history.outbox == {"w_1": 1}


def test_what_a_message_asks_for_is_read_off_its_text(tmp_path: Path) -> None:
    """The judge knows from it where a window must end."""
    said = {"A": f"x {COMMAND} 1", "B": f"x {STOP_WORD} 2", "C": "hello"}
    (tmp_path / "appendonly.aof").write_bytes(
        b"".join(
            command("XADD", "x:{3}:stream:shop", f"170{number}-0", "m", entry(name, text))
            for number, (name, text) in enumerate(said.items())
        )
    )
    found = read_history(tmp_path, "x").raw["shop", "ann"]
    assert [(raw.message_id, raw.asks) for raw in found] == [
        ("A", "bypass"),
        ("B", "flush"),
        ("C", ""),
    ]


def test_files_of_redis_7_are_read_in_their_order(tmp_path: Path) -> None:
    """The tenth file comes after the ninth."""
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    for number in (10, 9):
        (folder / f"appendonly.aof.{number}.incr.aof").touch()
    (folder / "appendonly.aof.9.base.rdb").touch()
    names = [path.name for path in append_only_files(tmp_path)]
    assert names == ["appendonly.aof.9.incr.aof", "appendonly.aof.10.incr.aof"]
