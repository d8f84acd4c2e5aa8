"""What a run may use up: calls, time, and the patience with a server that fails. A spent budget stays spent.

Promised: every later error names the reason. Never done: waiting, waking callers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from connector.errors import BudgetSpent, StopRun

__all__ = ["Budget"]


class Budget:
    """The limits that the user set for one run.

    Args:
        max_calls: HTTP exchanges in total, retries included, or None.
        deadline: seconds from now until no call may start, or None.
        clock: seconds, never going back.
    """

    def __init__(self, max_calls: int | None, deadline: float | None, clock: Callable[[], float]) -> None:
        self.max_calls = max_calls
        self.deadline = deadline
        self._clock = clock
        self._ends_at = math.inf if deadline is None else clock() + deadline
        self._reason = ("", "")
        self._kind: type[StopRun] = BudgetSpent

    def left(self) -> float:
        """Return the seconds until the deadline; infinite without one."""
        return self._ends_at - self._clock()

    def no_calls_left(self, started: int) -> bool:
        """Whether `started` calls are as many as the run may make."""
        return self.max_calls is not None and started >= self.max_calls

    def spent(self, started: int) -> bool:
        """Whether no call may start any more, after `started` calls."""
        if self._reason[0]:
            return True
        if self.no_calls_left(started):
            self.spend(f"max_calls is reached: {started} calls were made.", "Run again, or raise max_calls.")
        elif self._ends_at < math.inf and self._clock() >= self._ends_at:
            self.spend(f"The deadline of {self.deadline:g} s has passed.", "Run again, or raise the deadline.")
        return bool(self._reason[0])

    def spend(self, message: str, remedy: str, kind: type[StopRun] = BudgetSpent) -> None:
        """End the budget for this reason; `kind` is the error that says so."""
        self._reason, self._kind = (message, remedy), kind

    def error(self) -> StopRun:
        """Return the error that says why the budget is spent."""
        return self._kind(self._reason[0], remedy=self._reason[1])
