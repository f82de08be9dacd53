"""What each of the console's views is told, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import Gauge

from ingest.console.accounts import Accounts
from ingest.console.collector import Asked, Look
from ingest.console.glance import PartitionGlance, WorkerGlance
from ingest.console.pulse import Pulse
from ingest.console.why import NAMED, count_retrying, why_waiting
from shared.doing import Doing
from shared.instance_facts import instance_face
from shared.keys import Keys
from shared.metrics import IngestMetrics
from shared.open_windows import Bounds, open_windows
from shared.pipe import Pipe
from shared.settings import Settings
from shared.survey import PartitionSurvey
from shared.trace.whereabouts import WindowState

SELDOM_S = 0.9
"""What costs more is looked at less often; still a change is shown within a second."""

WINDOWS_SHOWN = 100
ENTRIES_LOOKED_AT = 4000

Face = dict[str, Any]

LIVE = ("now", "partitions", "windows", "instances", "dead", "replies")
"""The views that a stream tells of."""


class Views:
    """Looks at the data of one connection, ``reads``, which somebody runs."""

    def __init__(self, reads: Pipe, keys: Keys, settings: Settings, metrics: IngestMetrics) -> None:
        self._metrics = metrics
        self._reads = reads
        self._keys = keys
        self._settings = settings
        self._pulse = Pulse(reads, keys, settings)
        self._accounts = Accounts(reads, keys, settings)

    def looks(self) -> Mapping[str, Look]:
        """Each view's look, by its name. All raise ``BrokerUnavailable``, ``BrokerRefused``."""
        return {
            "now": Look(look=self.now),
            "partitions": Look(look=self.partitions),
            "windows": Look(look=self.windows, interval_s=SELDOM_S),
            "instances": Look(look=self.instances, interval_s=SELDOM_S),
            "dead": Look(look=self.dead),
            "replies": Look(look=self.replies),
        }

    def away(self) -> Face:
        """What is known while Redis does not tell."""
        return {"spool_messages": _value_of(self._metrics.spool_messages)}

    async def now(self, _asked: Asked) -> Face:
        """Is anyone waiting, and why."""
        seen = await self._pulse.look()
        survey, glance, rates = seen.survey, seen.glance, seen.rates
        paused = seen.steering.paused()
        doing = [each.doing for each in glance.workers if each.doing is not None]
        return {
            "at": survey.now_ms,
            "accepted": rates.accepted,
            "finished": rates.finished,
            "late_p50_ms": rates.late_p50_ms,
            "late_p99_ms": rates.late_p99_ms,
            "history": rates.history,
            "backlog": survey.backlog_messages,
            "oldest_s": survey.oldest_unfinished_s,
            "longest_wait_s": seen.longest_wait_ms / 1000,
            "why": why_waiting(survey, glance, paused, seen.longest_wait_ms),
            "paused": {"instances": paused[:NAMED], "more": max(0, len(paused) - NAMED)},
            "workers": len(glance.workers),
            "partitions": len(glance.partitions),
            "without_owner": len(survey.without_owner),
            "retrying": count_retrying(glance),
            "dead": sum(part.dead for part in glance.partitions),
            "replies": sum(part.replies for part in glance.partitions),
            **_sums_of(doing),
            **self.away(),
        }

    async def partitions(self, _asked: Asked) -> Face:
        """Who owns what, and who works."""
        seen = await self._pulse.look()
        pairs = zip(seen.glance.partitions, seen.survey.partitions, strict=True)
        owned: dict[str, int] = {}
        for part in seen.glance.partitions:
            if part.owner is not None:
                owned[part.owner] = owned.get(part.owner, 0) + 1
        return {
            "at": seen.survey.now_ms,
            "partitions": [_partition_face(part, told) for part, told in pairs],
            "workers": [_worker_face(each, owned) for each in seen.glance.workers],
        }

    async def windows(self, asked: Asked) -> Face:
        """The oldest that are open or in hand; whose they are, if that is asked."""
        bounds = Bounds(
            instance=asked.instance or None, windows=WINDOWS_SHOWN, entries=ENTRIES_LOOKED_AT
        )
        found = await open_windows(self._reads, self._keys, self._settings, bounds)
        faces = [asdict(window) for window in found.windows]
        if asked.users:
            faces = [{**face, "user": user} for face, user in zip(faces, found.users, strict=True)]
        return {
            "at": found.now_ms,
            "counts": {state.value: found.counts.get(state, 0) for state in WindowState},
            "is_whole": found.is_whole,
            "windows": faces,
        }

    async def instances(self, asked: Asked) -> Face:
        """Those with the most to do, and what shapes their windows."""
        found = await self._accounts.look(asked.instance)
        return {
            "at": found.now_ms,
            "total": found.total,
            "instances": [instance_face(one) for one in found.shown],
        }

    async def dead(self, _asked: Asked) -> Face:
        """How many there are: what they are is asked for when that has changed."""
        seen = await self._pulse.look()
        return {"dead_letters": sum(part.dead for part in seen.glance.partitions)}

    async def replies(self, _asked: Asked) -> Face:
        """The same of replies that have not left, and of those that wait for a person."""
        seen = await self._pulse.look()
        doing = [each.doing for each in seen.glance.workers if each.doing is not None]
        return {
            "replies_unsent": sum(part.replies for part in seen.glance.partitions),
            "undecided": sum(each.undecided for each in doing),
        }


def _sums_of(doing: list[Doing]) -> Face:
    return {
        "open": sum(each.open for each in doing),
        "running": sum(each.running for each in doing),
        "slots": sum(each.slots for each in doing),
        "undecided": sum(each.undecided for each in doing),
    }


def _partition_face(part: PartitionGlance, told: PartitionSurvey) -> Face:
    return {
        "number": part.number,
        "owner": part.owner,
        "epoch": part.epoch,
        "lease_ms": part.lease_ms,
        "messages": told.messages,
        "oldest_at": told.oldest_at,
        "in_hand": part.in_hand,
        "replies": part.replies,
        "dead": part.dead,
    }


def _worker_face(each: WorkerGlance, owned: Mapping[str, int]) -> Face:
    doing = each.doing or Doing()
    return {
        "id": each.id,
        "state": each.state,
        "host": each.host,
        "lease_ms": each.lease_ms,
        "partitions": owned.get(each.id, 0),
        "open": doing.open,
        "running": doing.running,
        "slots": doing.slots,
        "undecided": doing.undecided,
    }


def _value_of(gauge: Gauge) -> float:
    (metric,) = gauge.collect()
    return metric.samples[0].value
