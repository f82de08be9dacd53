"""What a bench knows of the processes that it starts."""

from __future__ import annotations

import sys

from bench.servers import Process

LINES = 5000
PRINTS = f"import os\nfor n in range({LINES}): os.write(1, b'line %d\\n' % n)"


def test_a_log_is_whole_though_it_is_read_while_it_is_written() -> None:
    """Whoever reads it shares the file with who writes it: no line is lost or written over."""
    with Process(PRINTS, program=(sys.executable, "-c")) as process:
        while f"line {LINES - 1}\n" not in process.log():
            pass
        process.wait_end()
        assert process.log() == "".join(f"line {number}\n" for number in range(LINES))
