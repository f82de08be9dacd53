"""The account that ``make bench BENCH=ingest_processes`` demands of what two processes took."""

from __future__ import annotations

from bench.crew import IngestCrew, ingest_crew
from bench.ingest_processes import share_out
from bench.load import Webhooks
from bench.report import Void

CONNECTIONS, TRIES = 8, 2
SENT = CONNECTIONS * TRIES
MESSAGES = SENT // 2
"""Each goes out twice at once."""


def objection(crew: IngestCrew, *, on_the_way: int = 0) -> str:
    """What the account has to say of these."""
    try:
        crew.check(answered=SENT, on_the_way=on_the_way, repeated=MESSAGES)
    except Void as void:
        return str(void)
    return ""


async def test_account_of_two_processes_holds_and_objects_to_what_is_doubled_or_lost() -> None:
    """Sound as they left it; an entry more, one less, or one less that dedupe forgot is told."""
    with ingest_crew(2) as crew:
        shares = await share_out(crew, Webhooks(), CONNECTIONS, TRIES)

        assert len(shares.larger) == TRIES
        assert all(CONNECTIONS // 2 <= part <= CONNECTIONS for part in shares.larger)
        assert sum(crew.taken()) == SENT
        assert len(crew.pids) == len(set(crew.metrics_ports)) == 2
        assert objection(crew) == ""

        store = crew.store
        stream = next(one for one in store.streams() if store.backlog([one]))
        ((entry_id, fields),) = store.call("XRANGE", stream, "-", "+", "COUNT", 1)
        doubled = store.call("XADD", stream, "*", "m", fields[b"m"])
        assert objection(crew, on_the_way=SENT).startswith(f"{MESSAGES + 1} entries are stored")
        store.call("XDEL", stream, doubled)
        assert objection(crew) == ""

        store.call("XDEL", stream, entry_id)
        assert objection(crew).startswith(f"{MESSAGES - 1} entries are stored")
        partition = stream.partition(":stream:")[0]
        for key in store.call("KEYS", f"{partition}:seen:*"):
            for message, known in store.call("HGETALL", key).items():
                if known == entry_id:
                    store.call("HDEL", key, message)
        assert objection(crew) == f"{MESSAGES} messages were answered, {MESSAGES - 1} are stored"
