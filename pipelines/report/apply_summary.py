"""The summary of an apply: a few labelled lines for people.

Promised: outcomes, calls and files are always listed, and the first changes that were not made, each with its reason.
"""

from __future__ import annotations

from connector.plurals import counted
from pipelines.import_customers import Applied
from pipelines.report.following import Following
from pipelines.report.values import one_line

__all__ = ["apply_summary"]

MAX_EXAMPLES = 5  # rows that are listed; the results hold all
WRITES = ("post_customers", "put_customers", "delete_customers_id_")


def apply_summary(found: Applied, following: Following | None = None) -> str:
    """What an apply did, a few lines.

    Args:
        found: what it came to.
        following: the commands that can follow; by default those without flags.
    """
    tally, run, following = found.tally, found.plan.header.run, following or Following()
    lines = [*_head(found), *_not_done(found)]
    lines += [f"stopped   {tally.stopped}; run the same command again to resume"] if tally.stopped else []
    lines.append(_calls(found))
    if found.rejected[1]:
        lines.append(f"rejected  {counted(found.rejected[1], 'row')} in {found.rejected[0]}")
    lines.append(f"results   {counted(found.results[1], 'row')} in {found.results[0]}")
    lines += [f"undo      {following.undo(run, found.plan.path)}"] if found.undoable else []
    return "\n".join(lines)


def _head(found: Applied) -> list[str]:
    """The outcomes, and how many an earlier attempt had settled."""
    tally, run = found.tally, found.plan.header.run
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items())) or "nothing to do"
    if tally.earlier and tally.earlier == sum(tally.outcomes.values()) and not tally.left:
        return [f"run       {run}: nothing was left to do; earlier: {outcomes}"]
    left = f", {tally.left} left" if tally.left else ""
    lines = [f"run       {run}: {outcomes}{left}, {found.seconds:.1f} s"]
    return lines + ([f"earlier   {tally.earlier} of these were settled by an earlier attempt"] if tally.earlier else [])


def _calls(found: Applied) -> str:
    writes = sum(found.calls.get(name, 0) for name in WRITES)
    reads = sum(found.calls.values()) - writes
    window = found.tally.window * 1000
    made = f"{counted(writes, 'write')}, {counted(reads, 'read')}"
    return f"calls     {made}; at most {window:.0f} ms between check and write"


def _not_done(found: Applied) -> list[str]:
    """The first changes that were not made as planned, and why."""
    rows = [row for row in found.refused if row.outcome != "done"]
    unit = found.plan.header.source.unit
    lines = []
    for row in rows[:MAX_EXAMPLES]:
        line = f"{unit} {row.line}, " if row.line else ""
        lines.append(f"{row.outcome:<9} {line}{one_line(row.external_id)}: {row.why}")
    rest = len(rows) - MAX_EXAMPLES
    return lines + ([f"          … and {rest} more in {found.results[0]}"] if rest > 0 else [])
