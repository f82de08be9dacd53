"""What a worker has heard of its bells, as nobody but a test asks."""

from __future__ import annotations

from consumer.bells import BellReader, Bells, SlotBells


def last_heard(bells: Bells, bell: str) -> bytes | None:
    """The last ring of a bell that was seen."""
    if isinstance(bells, SlotBells):
        readers = list(bells._readers.values())
    else:
        assert isinstance(bells, BellReader)
        readers = [bells]
    return next((reader._seen[bell] for reader in readers if bell in reader._seen), None)
