"""What the data under the prefix mean. Pure: an examination in, points out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.doctor.examine import DataState
from shared.doctor.failing import Failing
from shared.doctor.point import Point, fail, ok, warn
from shared.masking import mask_text
from shared.preflight import Meta
from shared.settings import Settings
from shared.survey import Kept, StoreSurvey

NAMED_MAX = 8
KINDS_MAX = 3


def judge_meta(meta: Meta | None, problems: Sequence[str], prefix: str) -> Point:
    """The number of partitions that the data were created with."""
    if problems:
        return fail(
            "partitions",
            "; ".join(problems),
            "services do not start: they would look for messages where they are not",
            "correct the setting that is named",
        )
    if meta is None or meta.partitions is None:
        return warn(
            "partitions",
            f"there are no data under the prefix {prefix} yet",
            "nothing, before the first start; else the prefix is wrong or Redis was emptied",
            "start inturn, or correct INTURN_PREFIX",
        )
    return ok("partitions", f"{meta.partitions} partitions, as configured")


def judge_data(data: DataState, settings: Settings) -> list[Point]:
    """Who works, and what waits."""
    return [
        judge_workers(data.workers),
        judge_owners(data.survey, data.workers),
        judge_pauses(data.paused),
        judge_backlog(data.survey, settings),
        judge_handler(data.failing),
        judge_sends(data.failing),
        judge_replies(data.failing),
        judge_kept(data.kept),
    ]


def judge_workers(workers: Mapping[str, str]) -> Point:
    """Somebody must handle what is accepted."""
    working = [name for name, state in workers.items() if state != "draining"]
    draining = len(workers) - len(working)
    if not working:
        return fail(
            "workers",
            f"no worker lives ({draining} draining)" if draining else "no worker lives",
            "messages are accepted and wait; nobody is answered",
            "start inturn consumer, or look at why it ends",
        )
    return ok("workers", f"{len(working)} live, {draining} draining")


def judge_owners(survey: StoreSurvey, workers: Mapping[str, str]) -> Point:
    """Every partition needs one."""
    orphans = survey.without_owner
    if not orphans:
        return ok("owners", f"all {len(survey.partitions)} partitions have an owner")
    named = ", ".join(str(number) for number in orphans[:NAMED_MAX])
    named += ", ..." if len(orphans) > NAMED_MAX else ""
    says = f"{len(orphans)} of {len(survey.partitions)} partitions have no owner: {named}"
    costs = "the messages of their users wait"
    if workers:
        advice = "a live worker takes them within LEASE_MS; if not, its log says why"
        return warn("owners", says, costs, advice)
    return fail("owners", says, costs, "start inturn consumer")


def judge_pauses(paused: Sequence[str]) -> Point:
    """Somebody has to end them."""
    if not paused:
        return ok("pauses", "no instance is paused")
    named = ", ".join(paused[:NAMED_MAX]) + (", ..." if len(paused) > NAMED_MAX else "")
    return warn(
        "pauses",
        f"{len(paused)} instances are paused: {named}",
        "their messages are kept and wait, and are the oldest that are not finished",
        "inturn instances resume <instance>, when that is to end",
    )


def judge_backlog(survey: StoreSurvey, settings: Settings) -> Point:
    """How much waits, and whether longer than a window and one attempt take."""
    count, age_s = survey.backlog_messages, survey.oldest_unfinished_s
    says = f"{count} messages are not finished"
    if count:
        says += f", the oldest for {age_s:.0f} s"
    if age_s * 1000 > longest_ms(settings):
        return warn(
            "backlog",
            says,
            "users wait longer than a window and one attempt take",
            "see the point handler, and inturn windows; if nothing is wrong there, add workers",
        )
    return ok("backlog", says)


def judge_handler(failing: Failing) -> Point:
    """Windows whose last attempt came to nothing are tried again: something is wrong there."""
    if not failing.windows:
        return ok("handler", "no window's last attempt came to nothing")
    return warn(
        "handler",
        f"attempts come to nothing: {_counted(failing.windows, failing)}",
        "their users wait, and are not answered if it lasts",
        "mend what HANDLER names, or its key; the windows are tried again by themselves",
    )


def judge_sends(failing: Failing) -> Point:
    """A provider that takes nothing just now."""
    if not failing.sends:
        return ok("sends", "no reply's last try came to nothing")
    return warn(
        "sends",
        f"replies do not leave: {_counted(failing.sends, failing)}",
        "their users wait, and so do their later replies",
        "look at the provider of inturn outbox list --all; they are tried again by themselves",
    )


def judge_replies(failing: Failing) -> Point:
    """Replies that nobody sends before a person has decided."""
    if not failing.held:
        return ok("replies", "none waits for a decision")
    return warn(
        "replies",
        f"replies wait for a decision: {_counted(failing.held, failing)}",
        "their users were not answered",
        "inturn outbox list; mend why, as a wrong token; then resend or discard them",
    )


def _counted(found: Mapping[str, int], failing: Failing) -> str:
    """How many of each kind of error, those that there are most of."""
    least = "" if failing.is_whole else "at least "
    shown = list(found.items())[:KINDS_MAX]
    kinds = [f"{mask_text(error)} ({least}{count})" for error, count in shown]
    return ", ".join(kinds) + (", ..." if len(found) > KINDS_MAX else "")


def longest_ms(settings: Settings) -> int:
    """How long a message stays unfinished when all goes well: window, grace, one attempt."""
    own = settings.instances.values()
    waits = [instance.max_wait_ms or 0 for instance in own]
    limits = [instance.handler_timeout_ms or 0 for instance in own]
    wait_ms = max([settings.max_wait_ms, *waits])
    return wait_ms + settings.grace_ms + max([settings.handler_timeout_ms, *limits])


def judge_kept(kept: Kept) -> Point:
    """Dead letters wait for a person."""
    if kept.dead_letters:
        return warn(
            "dead_letters",
            f"{kept.dead_letters} windows were given up",
            "their users were not answered",
            "inturn dead list; then replay or discard them",
        )
    return ok("dead_letters", f"none; {kept.replies} replies wait in the outbox")
