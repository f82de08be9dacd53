"""Which node has which slot, as a cluster told it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.cluster.slots import SLOTS
from shared.errors import BrokerRefused

Place = tuple[str, int]
"""A node's host and port."""

_UNKNOWN_HOSTS = ("", "?")
"""A node that does not know its own name: it is where it was asked."""


class SlotMap:
    """``places`` are all nodes that were told, also the replicas."""

    def __init__(self) -> None:
        self.places: set[Place] = set()
        self._owners: list[Place | None] = [None] * SLOTS

    @classmethod
    def parse(cls, answer: Iterable[Any], asked: Place) -> SlotMap:
        """Of the answer to CLUSTER SLOTS of the node at ``asked``."""
        found = cls()
        for first, last, *nodes in answer:
            places = [_place(node, asked) for node in nodes]
            found.places.update(places)
            if places:
                found._owners[first : last + 1] = [places[0]] * (last + 1 - first)
        return found

    def __eq__(self, other: object) -> bool:
        """The same nodes have the same slots; who else there is, says nothing."""
        return isinstance(other, SlotMap) and self._owners == other._owners

    __hash__ = None  # type: ignore[assignment]  # it changes

    def owner(self, slot: int) -> Place | None:
        """The node that has a slot; None where nobody has it."""
        return self._owners[slot]

    def owners(self) -> set[Place]:
        """All nodes that have slots."""
        return {place for place in set(self._owners) if place is not None}

    def move(self, slot: int, place: Place) -> None:
        """A node has said who has a slot."""
        self._owners[slot] = place
        self.places.add(place)


def place_told(refusal: BrokerRefused, asked: Place) -> Place:
    """
    The node that MOVED and ASK name: ``<slot> <host>:<port>``, with no host where it is the same.

    Raises:
        ValueError: they name none.
    """
    host, _, port = str(refusal).rpartition(" ")[2].rpartition(":")
    return (asked[0] if host in _UNKNOWN_HOSTS else host), int(port)


def place_text(place: Place) -> str:
    """``host:port``, for people."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _place(node: list[Any], asked: Place) -> Place:
    host = (node[0] or b"").decode(errors="replace")
    return (asked[0] if host in _UNKNOWN_HOSTS else host), int(node[1])
