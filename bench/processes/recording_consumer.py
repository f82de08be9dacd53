"""
A consumer that also keeps every lateness it measures, to be written down at its end.

    python -m bench.processes.recording_consumer <file>

It is ``python -m consumer`` with one metric replaced: a histogram's buckets are too coarse to tell
a percentile. Each value is what dispatching observes: Redis's time in the start script less the
window's due time, of windows that did not wait for the user's one before.
"""

from __future__ import annotations

import sys
from array import array
from pathlib import Path

import consumer.service
from shared.metrics import ConsumerMetrics


class Recorder:
    """Takes the place of the histogram; one append per window."""

    def __init__(self) -> None:
        self.seconds = array("d")

    def observe(self, seconds: float) -> None:
        """Keep one value."""
        self.seconds.append(seconds)


def main() -> int:
    """Run the service, then write one value per line, in seconds."""
    recorder = Recorder()

    class RecordingMetrics(ConsumerMetrics):
        def __init__(self) -> None:
            super().__init__()
            self.window_lateness_seconds = recorder  # type: ignore[assignment]

    vars(consumer.service)["ConsumerMetrics"] = RecordingMetrics
    code = consumer.service.main()
    lines = (f"{seconds:.3f}\n" for seconds in recorder.seconds)
    Path(sys.argv[1]).write_text("".join(lines), encoding="ascii")
    return code


if __name__ == "__main__":
    sys.exit(main())
