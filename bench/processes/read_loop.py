"""
The loops that the worker is measured against: XREADGROUP COUNT 500 and XACK, and little else.

    python -m bench.processes.read_loop <redis url> <stream> <group> plain|decoding

``plain`` decodes nothing: what redis-py alone costs. ``decoding`` also parses each entry's JSON and
deletes what it acknowledged, as the worker does. Neither gathers anything or calls anybody. Ends
when the stream gives no more, and prints entries and seconds.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import orjson
import redis

COUNT = 500


def main() -> None:
    """Read and acknowledge everything."""
    url, stream, group, kind = sys.argv[1:]
    client = redis.Redis.from_url(url, protocol=2)
    entries, began_s = 0, time.perf_counter()
    while True:
        answer: Any = client.xreadgroup(group, "loop", {stream: ">"}, count=COUNT)
        if not answer:
            break
        ids = [entry_id for entry_id, _ in answer[0][1]]
        if kind == "decoding":
            for _, values in answer[0][1]:
                orjson.loads(values[b"m"])
        client.xack(stream, group, *ids)
        if kind == "decoding":
            client.xdel(stream, *ids)
        entries += len(ids)
    sys.stdout.write(f"{entries} {time.perf_counter() - began_s:.6f}\n")


if __name__ == "__main__":
    main()
