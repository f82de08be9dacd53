"""
How one record stands in a spool file, and what is read back from a file that was damaged. Pure.

    magic (4 bytes) | length of payload (4) | CRC-32 of length and payload (4) | payload

Numbers are big-endian. A payload is UTF-8, in which no byte of the magic can occur: nobody can
write a message in which a reader that has lost its way would find a record. What a reader finds
behind damage was therefore written by us, and whole.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\xff\xfe\xfd\xfc"

_LENGTH = struct.Struct(">I")
_CRC = struct.Struct(">I")
_HEADER = struct.Struct(">4s4sI")
HEADER_BYTES = len(MAGIC) + _LENGTH.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Record:
    """A record that is intact, and where the next one begins."""

    payload: bytes
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What stands in a stretch of a file, in the order in which it was written.

    ``damaged`` counts runs of bytes that belong to no intact record, also one that was cut off
    at the end.
    """

    records: tuple[Record, ...]
    damaged: int


def pack_record(payload: bytes) -> bytes:
    """The bytes that ``scan_records`` gives back as ``payload``."""
    length = _LENGTH.pack(len(payload))
    return _HEADER.pack(MAGIC, length, zlib.crc32(payload, zlib.crc32(length))) + payload


def scan_records(data: bytes) -> Scan:
    """
    Every intact record.

    Never raises, whatever the bytes are. After damage it goes on at the next place at which a
    record stands whole, so one flipped bit costs one record.
    """
    records: list[Record] = []
    damaged = 0
    at = 0
    in_damage = False
    while at < len(data):
        record = _record_at(data, at)
        if record is not None:
            records.append(record)
            at, in_damage = record.end, False
            continue
        damaged += not in_damage
        in_damage = True
        at = data.find(MAGIC, at + 1)
        if at < 0:
            break
    return Scan(tuple(records), damaged)


def _record_at(data: bytes, at: int) -> Record | None:
    begin = at + HEADER_BYTES
    if data[at : at + len(MAGIC)] != MAGIC or begin > len(data):
        return None
    length_bytes = data[at + len(MAGIC) : at + len(MAGIC) + _LENGTH.size]
    (length,) = _LENGTH.unpack(length_bytes)
    end = begin + length
    if end > len(data):
        return None
    payload = data[begin:end]
    (crc,) = _CRC.unpack(data[begin - _CRC.size : begin])
    if crc != zlib.crc32(payload, zlib.crc32(length_bytes)):
        return None
    return Record(payload, end)
