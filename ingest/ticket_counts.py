"""
What metrics tell of queues.

The label is a clinic's name where ``TICKET_CLINICS`` lists it. Where it lists none, names come
from outside, and all are ``other``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog
from structlog.typing import FilteringBoundLogger

from shared.errors import InturnError
from shared.metrics import OTHER, IngestMetrics, InstanceLabels
from shared.tickets import Called, Entered, Tickets

LOOKED_AT_MAX = 256
"""Clinics whose waiting is looked up, beyond the listed ones: those last heard of here."""

log: FilteringBoundLogger = structlog.get_logger()


class TicketCounts:
    """
    Counts what happened through this process, and how many wait through all of them.

    How many wait is added up when somebody asks. It is unknown, and NaN, until it was looked up,
    and while Redis is away.
    """

    def __init__(self, tickets: Tickets, metrics: IngestMetrics, labels_max: int) -> None:
        self._tickets = tickets
        self._metrics = metrics
        self._labels = InstanceLabels(labels_max)
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._shown: set[str] = set()
        for clinic in sorted(tickets.clinics):
            self._note(clinic, float("nan"))

    def label(self, clinic: str) -> str:
        """The label under which a clinic is counted."""
        return self._labels.of(clinic) if clinic in self._tickets.clinics else OTHER

    def entered(self, entered: Entered) -> None:
        """Somebody asked for a number."""
        if not entered.already:
            self._metrics.tickets_entered_total.labels(self.label(entered.clinic)).inc()
        self._note(entered.clinic, entered.waiting)

    def called(self, called: Called) -> None:
        """The staff went on to the next number, or began anew."""
        clinic = called.status.clinic
        label = self.label(clinic)
        if called.finished is not None:
            self._metrics.tickets_served_total.labels(label).inc()
        if called.waited_ms is not None:
            self._metrics.ticket_wait_seconds.labels(label).observe(called.waited_ms / 1000)
        self._note(clinic, called.status.waiting)

    async def keep_looking(self, interval_s: float) -> None:
        """Look up how many wait, again and again, until cancelled."""
        while True:
            for clinic in list(self._waiting):
                try:
                    waiting: float = (await self._tickets.status(clinic)).waiting
                except InturnError as error:
                    log.debug("queue.unknown", error=str(error))
                    waiting = float("nan")
                if clinic in self._waiting:
                    self._waiting[clinic] = waiting
            await asyncio.sleep(interval_s)

    def _note(self, clinic: str, waiting: float) -> None:
        self._waiting[clinic] = waiting
        self._waiting.move_to_end(clinic)
        if len(self._waiting) > LOOKED_AT_MAX + len(self._tickets.clinics):
            self._waiting.popitem(last=False)
        label = self.label(clinic)
        if label not in self._shown:
            self._shown.add(label)
            self._metrics.tickets_waiting.labels(label).set_function(lambda: self._sum(label))

    def _sum(self, label: str) -> float:
        return sum(n for clinic, n in self._waiting.items() if self.label(clinic) == label)
