"""What is left of a plan: its rows that no attempt has settled.

Promised: whoever is asked about a plan that was begun hears what it still does. Never done: writing the journal.
"""

from __future__ import annotations

from connector.push.apply.journal import path_of, read
from connector.push.plan.counts import Counts
from connector.push.plan.planfile import Plan

__all__ = ["left_of"]


def left_of(plan: Plan) -> Counts:
    """Count the rows of a plan that are to be written and have no outcome in its journal.

    Raises:
        FixInput: plan or journal cannot be read.
    """
    path = path_of(plan)
    settled = {line.n for line in read(path) if line.what == "outcome"} if path.exists() else set()
    counts = Counts()
    for n, entry in enumerate(entry for entry in plan.entries() if entry.writes):
        if n not in settled:
            counts.add(entry)
    return counts
