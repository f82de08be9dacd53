"""
Whether the service in this container keeps messages: 0 if its ``/readyz`` says so, 1 if not.

A container runs one role, ingest or consumer, so the port that answers is the one that counts. With
nothing but Python's own library: the image has no curl, and this runs every few seconds.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0
PORTS = (("INTURN_PORT", 8420), ("INTURN_CONSUMER_PORT", 8421))


def is_ready(port: int) -> bool | None:
    """None: nobody listens there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return None
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """The exit code."""
    answers = [is_ready(int(os.environ.get(name) or port)) for name, port in PORTS]
    known = [answer for answer in answers if answer is not None]
    return 0 if known and all(known) else 1


if __name__ == "__main__":
    sys.exit(main())
