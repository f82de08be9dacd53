"""Whatever overtakes whatever, and whoever dies: our own echo mutes nobody, a person does."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.keys import Keys, sent_hash
from shared.on_human import muted_until
from shared.scripts import load_script
from shared.sent_ids import DOUBT_MS, SPAN_MS
from tests.support.clients import look_now

WHO = ("shop", "ann")
KEEP_MS = MUTE_MS = 600_000
REPLY = "1-1"

OFTEN = ["begin", "taken", "echo", "end", "die"] * 2
STEPS = st.lists(
    st.sampled_from([*OFTEN, "old echo", "person", "lost", "late end", "a minute"]),
    min_size=15,
    max_size=40,
)


class Conversation:
    """
    One conversation and its sends, on a real Redis; ``ours`` are the ids that the provider gave.

    ``certain`` are persons' messages that came while no send was on its way or in doubt.
    """

    def __init__(self, url: str) -> None:
        self.redis = look_now(url)
        self.p = Keys(f"test-{uuid.uuid4().hex[:12]}", 1).partition(0)
        self.redis.hset(self.p.lease, mapping={"owner": "us", "epoch": "1"})
        self.redis.xadd(self.p.outbox, {"m": "x"}, id=REPLY)
        self.ours: list[str] = []
        self.certain: set[str] = set()
        self._serial = itertools.count(1)
        self._token = ""
        self._at_work = False
        self._given: list[str] = []
        self._dead: list[tuple[str, list[str]]] = []
        self._noted: set[str] = set()
        self.has_open_send = False

    def run(self, name: str, keys: Sequence[str], *args: Any) -> Any:
        """A script as it is."""
        return self.redis.eval(load_script(name).source, len(keys), *keys, *args)

    def step(self, what: str) -> None:
        """What happens next; what cannot happen now does not."""
        if what == "begin" and not self._at_work:
            self._begin()
        elif what == "taken" and self._at_work:
            self.ours.append(f"ours {next(self._serial)}")
            self._given.append(self.ours[-1])
        elif what == "echo" and self.ours:
            self._hear(self.ours[-1])
        elif what == "old echo" and self.ours:
            self._hear(self.ours[0])
        elif what == "person":
            self._hear_person(f"person {next(self._serial)}")
        elif what in ("end", "lost") and self._at_work:
            self._end(ids=self._given if what == "end" else [], unsure=what == "lost")
        elif what == "die" and self._at_work:
            self._dead.append((self._token, self._given))
            self._at_work = False
        elif what == "late end" and self._at_work and self._dead:
            self._note(*self._dead[-1], unsure=False)
        elif what == "a minute" and not self.has_open_send:
            # by now every echo has come of a send whose answer was lost
            self.redis.hdel(self.p.human(*WHO), "doubt")
            self.ours = [one for one in self.ours if one in self._noted]

    def known(self) -> dict[bytes, bytes]:
        """What Redis knows of persons."""
        found: dict[bytes, bytes] = self.redis.hgetall(self.p.human(*WHO))
        return found

    def _begin(self) -> None:
        token = f"us:1:send-{next(self._serial)}"
        keys = (self.p.lease, self.p.sending, self.p.outbox, self.p.human(*WHO))
        answer = self.run("send", keys, "us", 1, REPLY, self._token, token, KEEP_MS)
        assert answer[0] == 0
        self._token, self._at_work, self._given = token, True, []
        self.has_open_send = True

    def _note(self, token: str, ids: Sequence[str], *, unsure: bool) -> None:
        self._noted.update(ids)
        hashes = [sent_hash(*WHO, one) for one in ids]
        keys = [self.p.human(*WHO), *(key for one in hashes for key in self.p.both_sent(one))]
        args = (SPAN_MS, KEEP_MS, token, int(unsure), DOUBT_MS, *hashes)
        self.run("note_sent", keys, *args)

    def _end(self, ids: Sequence[str], *, unsure: bool) -> None:
        self._note(self._token, ids, unsure=unsure)
        keys = [self.p.sending, self.p.lease, self.p.bell]
        self.run("unsend", keys, REPLY, self._token, "us", 0, "", "", "", 1, "")
        self._at_work = self.has_open_send = False

    def _hear(self, message_id: str) -> int:
        hashed = sent_hash(*WHO, message_id)
        keys = (self.p.human(*WHO), *self.p.both_sent(hashed))
        (code,) = self.run("echo", keys, 32, hashed, KEEP_MS)
        return int(code)

    def _hear_person(self, message_id: str) -> None:
        is_certain = {b"since", b"doubt"}.isdisjoint(self.known())
        assert self._hear(message_id) or not is_certain
        if is_certain:
            self.certain.add(message_id)


@given(STEPS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None
)
def test_our_echo_never_mutes_and_a_person_does(redis_url: str, steps: list[str]) -> None:
    """After every step, in any order; nothing of it is older than a second."""
    made = Conversation(redis_url)
    try:
        for step in steps:
            made.step(step)
            known = made.known()
            assert (b"since" in known) == made.has_open_send
            if not made.has_open_send:
                ours = {sent_hash(*WHO, one) for one in made.ours}
                assert ours.isdisjoint(known)
            assert {sent_hash(*WHO, one) for one in made.certain} <= known.keys()
            if not any(step == "person" for step in steps):
                assert muted_until(known, MUTE_MS) == 0
            if made.certain:
                assert muted_until(known, MUTE_MS) > 0
    finally:
        made.redis.close()
