"""What to do with a row, given the customer as it is now: settle it, send it, or look again.

Promised: a customer that changed since the plan is left alone; a write whose outcome is unknown is looked up over ten
seconds before it is sent again. Never done: I/O, keeping state.
"""

from __future__ import annotations

from typing import NamedTuple

from connector.push.account.customer import Customer
from connector.push.apply.drift import (
    ABSENT,
    AFTER,
    BEFORE,
    GONE,
    LEFTOVER,
    MIDDLE,
    OTHER,
    against,
    changed_since,
    drift_of,
)
from connector.push.apply.task import FRESH, UNKNOWN, WRITTEN, Task

__all__ = ["AGAIN", "SEND", "Verdict", "verdict_on"]


class Verdict(NamedTuple):
    """What to do with a row.

    Attributes:
        do: settle, send, or again (look again later).
        outcome: of settle: done, differs, skipped or failed.
        why: of settle: the reason.
        held: of settle: the customer as it was read back.
    """

    do: str
    outcome: str = ""
    why: str = ""
    held: Customer | None = None


SEND, AGAIN = Verdict("send"), Verdict("again")


def verdict_on(task: Task, held: Customer | None, most_looks: int) -> Verdict:
    """Decide what to do with a row.

    Args:
        task: the row.
        held: the customer as it is now, or None.
        most_looks: looks at a row before something is concluded.
    """
    now = drift_of(task.entry, held)
    if task.state == FRESH:
        return _fresh(task, held, now)
    if now == AFTER:
        return _settle("done", "", held)
    if now == LEFTOVER and task.state == UNKNOWN and held is not None and not _made_and_archived(task, held):
        return _pending(task, None, most_looks)
    if now in (OTHER, LEFTOVER) or (now == GONE and task.entry.do != "archive"):
        return _settle(*_strange(task, held), held)
    if now == MIDDLE and task.state == UNKNOWN and (task.late or not task.sent):
        return SEND
    return _pending(task, held, most_looks)


def _settle(outcome: str, why: str, held: Customer | None) -> Verdict:
    return Verdict("settle", outcome, why, held)


def _fresh(task: Task, held: Customer | None, now: str) -> Verdict:
    if now == (ABSENT if task.entry.do == "create" else BEFORE):
        return SEND
    if now == AFTER:
        return _settle("done", "it was so already: nothing was sent", held)
    return _settle("skipped", changed_since(task.entry, held), held)


def _pending(task: Task, held: Customer | None, most_looks: int) -> Verdict:
    """A row that shows no effect: look again, because a replica may lag; then settle it, or send it again."""
    if task.looks + 1 < most_looks:
        return AGAIN
    if task.state == WRITTEN:
        why = "the server answered that it was written; ten seconds later it still shows the values from before"
        return _settle("differs", why, held)
    if task.sent < task.attempts:
        return SEND
    if task.taken:
        why = "the server says that it exists (409), and does not show it"
        return _settle("skipped", f"{why}. {task.error}", held)
    return _settle("failed", f"sent {task.sent} times without an effect. {task.error}", held)


def _strange(task: Task, held: Customer | None) -> tuple[str, str]:
    """Outcome and reason of a row that is neither as before nor as planned, after it was sent."""
    differing = against(task.entry, held, task.wanted)
    if task.state == WRITTEN:
        return "differs", f"it was written and reads back otherwise: {differing}"
    if task.entry.do == "create":
        return "skipped", f"a customer with this external_id exists and is not as planned: {differing}"
    return "skipped", f"somebody changed it, and whether this write arrived is not known: {differing}"


def _made_and_archived(task: Task, held: Customer) -> bool:
    """Whether an archived namesake is what an earlier create of this run made: as planned, except for its status."""
    return task.doubtful and drift_of(task.entry, held.with_changes({"status": "published"})) == AFTER
