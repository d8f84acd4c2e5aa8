"""What an apply came to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from connector.push.apply.journal import Line
from connector.push.apply.outcomes import Tally
from connector.push.plan.planfile import Plan

__all__ = ["Applied"]


@dataclass
class Applied:
    """What an apply came to.

    Attributes:
        plan: that was applied.
        tally: how many rows have which outcome.
        rejected: where the rows are that this run did not take, and how many.
        results: where the results are, and how many.
        calls: HTTP calls made, by operation.
        seconds: how long it took.
        refused: the outcomes that are not as planned.
        undoable: whether an undo could take anything back.
    """

    plan: Plan
    tally: Tally
    rejected: tuple[Path, int]
    results: tuple[Path, int]
    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    refused: list[Line] = field(default_factory=list)
    undoable: bool = False

    def after(self, canary: Applied) -> Applied:
        """The same, with what its canary took."""
        calls = {name: self.calls.get(name, 0) + canary.calls.get(name, 0) for name in {**self.calls, **canary.calls}}
        window = max(self.tally.window, canary.tally.window)
        tally = replace(self.tally, earlier=canary.tally.earlier, window=window)
        return replace(self, tally=tally, calls=calls, seconds=self.seconds + canary.seconds)

    @property
    def exit_code(self) -> int:
        """0 every planned row is done; 1 some were skipped, failed, differ or are left."""
        return 0 if self.tally.complete else 1
