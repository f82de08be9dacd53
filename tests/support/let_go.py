"""What is still in memory after its last use, and would stay until the collector comes by."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def left_of(kind: type) -> Iterator[Callable[[], list[object]]]:
    """Tells the objects of a class that there are, but for those from before; none is collected."""
    gc.collect()
    gc.disable()
    before = {id(one) for one in gc.get_objects() if type(one) is kind}
    try:
        yield lambda: [
            one for one in gc.get_objects() if type(one) is kind and id(one) not in before
        ]
    finally:
        gc.enable()
