"""How much the spool may still grow: ``SPOOL_MAX_BYTES`` over all processes of one folder."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from shared.errors import SpoolUnavailable

MEASURE_S = 1.0


class Room:
    """
    The folder's size, measured every second, plus what this process has written since.

    Several processes may therefore overshoot the limit by what they write in a second.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._measured = folder_bytes(root)
        self._grown = 0

    @property
    def used_bytes(self) -> int:
        """Of the whole folder, as far as this process knows."""
        return self._measured + self._grown

    @property
    def is_full(self) -> bool:
        """Whether not a byte more fits."""
        return self.used_bytes >= self._max_bytes

    def take(self, size_bytes: int) -> None:
        """
        Count what is about to be written.

        Raises:
            SpoolUnavailable: it does not fit; nothing was counted.
        """
        if self.used_bytes + size_bytes > self._max_bytes:
            raise SpoolUnavailable("the spool is full: INTURN_SPOOL_MAX_BYTES")
        self._grown += size_bytes

    async def keep_measuring(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(MEASURE_S)
            counted = self._grown
            self._measured = await asyncio.to_thread(folder_bytes, self._root)
            self._grown -= counted


def folder_bytes(root: Path) -> int:
    """The bytes of all files one level below ``root``; what vanishes meanwhile counts nothing."""
    total = 0
    with suppress(OSError):
        for folder in os.scandir(root):
            with suppress(OSError):
                for file in os.scandir(folder.path):
                    with suppress(OSError):
                        total += file.stat().st_size
    return total
