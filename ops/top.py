"""
``inturn top``: is anyone waiting, and where; looked at again and again.

On a terminal the screen is drawn anew each time, until Ctrl-C. Elsewhere there is one look, or as
many as are asked for, in plain lines. What a look costs Redis follows the streams, and
no message travels.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from shared.backlog_by_instance import InstanceBacklog, backlog_by_instance
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.live_workers import live_workers
from shared.survey import Kept, StoreSurvey, Surveyor, count_kept

HEAD = ("INSTANCE", "BACKLOG", "CHANGE", "OLDEST", "ORPHANS")

DRAW_ANEW = "\x1b[H\x1b[J"
"""The cursor to the upper left, and all behind it erased (ECMA-48: CUP, ED)."""

LINES_AROUND = 6
ROWS_ELSEWHERE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was there at ``survey.now_ms``. ``in_hand``: windows begun and not finished."""

    survey: StoreSurvey
    kept: Kept
    in_hand: int
    workers: Mapping[str, str]
    instances: Sequence[InstanceBacklog]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often to look (None: until somebody ends it), how far apart, and what to print."""

    count: int | None
    interval_s: float
    is_live: bool
    as_json: bool


def show_top(plan: Plan, say: Callable[[str], None]) -> None:
    """
    Look and print as planned; Ctrl-C ends it.

    Raises:
        StartRefused: wrong settings, no Redis to be found, or no data.
        click.ClickException: Redis does not answer, or it refused; a live one shows this, and tries
            again.
    """

    async def watch(pipe: Pipe, keys: Keys) -> None:
        await keep_looking(Looker(pipe, keys), plan, say)

    try:
        with_store(watch)
    except KeyboardInterrupt:
        return


class Looker:
    """Looks at the data of one connection."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._surveyor = Surveyor(pipe, keys)

    async def look(self) -> Look:
        """
        Look once.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing is known.
        """
        pipe, keys = self._pipe, self._keys
        parts = [keys.partition(number) for number in range(keys.partitions)]
        workers = await live_workers(pipe, keys)
        survey, kept, instances, *in_hand = await asyncio.gather(
            self._surveyor.survey(),
            count_kept(pipe, keys),
            backlog_by_instance(pipe, keys, workers),
            *(pipe.call("HLEN", part.running) for part in parts),
        )
        return Look(
            survey=survey, kept=kept, in_hand=sum(in_hand), workers=workers, instances=instances
        )


async def keep_looking(looker: Looker, plan: Plan, say: Callable[[str], None]) -> None:
    """Look and say, ``plan.count`` times."""
    before: Look | None = None
    done = 0
    while True:
        try:
            found = await looker.look()
        except (BrokerUnavailable, BrokerRefused) as error:
            if not plan.is_live:
                raise
            say(f"{DRAW_ANEW}{error}; it is tried again, Ctrl-C ends this")
        else:
            say(_printed(found, before, plan))
            before = found
        done += 1
        if done == plan.count:
            return
        await asyncio.sleep(plan.interval_s)


def render_text(found: Look, before: Look | None, rows: int) -> str:
    """Two lines of totals, then the instances with the most to do, as many as there is room for."""
    lines = [_totals(found), _upkeep(found)]
    shown = found.instances[:rows]
    if shown:
        past = {} if before is None else {one.instance: one.messages for one in before.instances}
        now_s = found.survey.now_ms // 1000
        table = [_row(one, None if before is None else past.get(one.instance, 0), now_s)
                 for one in shown]  # fmt: skip
        lines += ["", *render_table(HEAD, table)]
    if len(found.instances) > rows:
        lines.append(f"and {len(found.instances) - rows} more: inturn instances")
    return "\n".join(lines)


def render_json(found: Look) -> str:
    """The same as data, on one line."""
    survey = found.survey
    return orjson.dumps(
        {
            "at": survey.now_ms,
            "backlog_messages": survey.backlog_messages,
            "oldest_unfinished_s": survey.oldest_unfinished_s,
            "windows_in_hand": found.in_hand,
            "workers": dict(found.workers),
            "partitions_without_owner": survey.without_owner,
            "dead_letters": found.kept.dead_letters,
            "replies_unsent": found.kept.replies,
            "instances": [asdict(one) for one in found.instances],
        }
    ).decode()


def _printed(found: Look, before: Look | None, plan: Plan) -> str:
    if plan.as_json:
        return render_json(found)
    if not plan.is_live:
        return render_text(found, before, ROWS_ELSEWHERE)
    rows = max(1, shutil.get_terminal_size().lines - LINES_AROUND)
    return DRAW_ANEW + render_text(found, before, rows)


def _totals(found: Look) -> str:
    survey = found.survey
    waiting = f"{survey.backlog_messages} messages are not finished"
    if survey.backlog_messages:
        waiting += f", the oldest for {describe_age(int(survey.oldest_unfinished_s))}"
    return f"{waiting}; {found.in_hand} windows in hand"


def _upkeep(found: Look) -> str:
    draining = sum(state == "draining" for state in found.workers.values())
    told = [f"workers: {len(found.workers) - draining}"]
    if draining:
        told.append(f"draining: {draining}")
    if orphans := len(found.survey.without_owner):
        told.append(f"{orphans} partitions WITHOUT OWNER (inturn doctor)")
    if letters := found.kept.dead_letters:
        told.append(f"{letters} dead letters (inturn dead list)")
    if replies := found.kept.replies:
        told.append(f"{replies} replies not sent (inturn outbox list)")
    return ", ".join(told)


def _row(one: InstanceBacklog, past: int | None, now_s: int) -> tuple[str, ...]:
    change = 0 if past is None else one.messages - past
    return (
        cut(one.instance),
        str(one.messages),
        f"{change:+d}" if change else "-",
        describe_age(now_s - one.oldest_at // 1000),
        str(one.orphans),
    )
