"""What became of the rows of a plan: each settled row goes to the journal, to the tally and to the progress.

Promised: a row is settled once. Never done: deciding (see `connector.push.apply.verdict`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from connector.push.account.customer import Customer, fingerprint
from connector.push.apply.journal import Journal, Line
from connector.push.apply.orders import Orders
from connector.push.apply.task import Task
from connector.push.plan.counts import customers_written

__all__ = ["Outcomes", "Tally"]


@dataclass
class Tally:
    """What became of the plan.

    Attributes:
        outcomes: how many rows are done, differ, were skipped or failed, in this run and earlier ones.
        earlier: rows that an earlier run had settled.
        left: rows that are not settled.
        window: seconds, the longest time between a check and the sending of its write.
        stopped: why it ended early, or "".
        canary: outcomes of the canary, where that is why.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    earlier: int = 0
    left: int = 0
    window: float = 0.0
    stopped: str = ""
    canary: list[Line] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every planned row is done."""
        return not self.left and set(+self.outcomes) <= {"done"}


class Outcomes:
    """Settles rows, and says how many more may be started.

    Attributes:
        tally: see `Tally`.
    """

    def __init__(
        self, journal: Journal, counts: dict[str, int], orders: Orders, on_settled: Callable[[int], None]
    ) -> None:
        settled = journal.settled
        self.tally = Tally(Counter(line.outcome for line in settled.values()), len(settled))
        self.tally.left = customers_written(counts) - len(settled)
        self._journal, self._orders, self._on_settled = journal, orders, on_settled
        self._failures = 0
        self._canary: list[Line] = []

    def settle(self, task: Task, outcome: str, why: str = "", held: Customer | None = None) -> None:
        """Note the outcome of a row: done, differs, skipped or failed.

        Args:
            task: the row.
            outcome: one of the four.
            why: the reason.
            held: the customer as it was read back; an undo compares with it.
        """
        line = task.line("outcome")
        line.outcome, line.why = outcome, why
        line.id = task.id or (held.id if held and outcome in ("done", "differs") else "")
        line.left = fingerprint(held) if held else ""
        self._journal.write(line)
        self.tally.outcomes[outcome] += 1
        self.tally.left -= 1
        self._failures += outcome in ("failed", "differs")
        if self._orders.canary:
            self._canary.append(line)
        self._on_settled(1)

    def room(self, batch: int, waiting: int) -> int:
        """How many fresh rows may be started: the canary and the number of failures limit them."""
        if self.tally.stopped:
            return 0
        if self._failures >= self._orders.max_failures:
            self.tally.stopped = f"{self._failures} rows failed, the limit (--max-failures)"
            return 0
        if not self._orders.canary:
            return batch
        return min(batch, max(0, self._orders.canary - len(self._canary) - waiting))

    def finish(self) -> Tally:
        """The tally; where only the canary was written, with its outcomes."""
        tally = self.tally
        if self._canary and tally.left and not tally.stopped:
            tally.stopped, tally.canary = f"after the canary of {len(self._canary)}", self._canary
        return tally
