"""``python -m tests.support.planted <bug> <service>``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.support.planted import in_consumer, in_ingest, in_scripts
from tests.support.probed import main

BUGS: dict[str, Callable[[], Any]] = {
    **in_scripts.BUGS,
    **in_consumer.BUGS,
    **in_ingest.BUGS,
    "none": in_consumer.reach_before_read,
}

if __name__ == "__main__":
    bug = sys.argv.pop(1)
    BUGS[bug]()
    sys.exit(main())
