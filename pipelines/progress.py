"""The progress of a job: what it is doing, how far it is, and what the user should know.

Promised: a job reports progress through this class only, so it runs the same when nobody listens. Never done: printing
(`pipelines.report` has the progress displays and the log).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connector.api.calls import Call
from connector.clock import Clock, exact_now
from connector.errors import FlexsyncError

__all__ = ["CALLS", "Passing", "Progress", "Unit"]

Unit = tuple[str, str]
CALLS: Unit = ("call to make", "calls to make")


class Progress:
    """Progress that nobody sees; subclasses show it."""

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """Begin a step.

        Args:
            name: of the step.
            total: what it counts up to, when that is known.
            unit: of `total`: the noun for one, and for many.
        """

    def advance(self, name: str, count: int) -> None:
        """Add `count` to what the step has done."""

    def note(self, text: str) -> None:
        """Show a remark."""

    def end(self) -> None:
        """Finish the display; nothing follows."""

    def pause(self) -> None:
        """Release the terminal for a question."""

    def resume(self) -> None:
        """Use the terminal again."""

    def called(self, call: Call, status: int, seconds: float) -> None:
        """Record one HTTP exchange.

        Args:
            call: that was made.
            status: of HTTP; 0 when no answer came.
            seconds: how long it took.
        """

    def waited(self, seconds: float, longest: float, why: FlexsyncError | None, *, clock: Clock = exact_now) -> None:
        """Note that every call waits because the server fails, or that the wait is over.

        Args:
            seconds: since it began.
            longest: seconds that it may last before the run ends.
            why: the last failure; None: the server answers again.
            clock: this machine's.
        """
        if why is None:
            self.note(f"the server answers again, after {seconds:.0f} s")
            return
        since = clock() - timedelta(seconds=seconds)
        self.note(
            f"the server has failed since {since:%H:%M:%S} UTC; waiting up to {longest:.0f} s (max_pause);"
            f" the last sign: {why.message}"
        )

    def began(self, run_id: str, mode: str) -> None:
        """Record which run it is, and whether it is full or incremental."""

    def ended(self, report: dict[str, Any]) -> None:
        """Record how the run ended: its report as plain data."""


class Passing(Progress):
    """Passes everything on to another progress; subclasses do something besides.

    Args:
        inner: the other one.
    """

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """A step begins."""
        self._inner.step(name, total, unit)

    def advance(self, name: str, count: int) -> None:
        """Rows or calls of a step were committed."""
        self._inner.advance(name, count)

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self._inner.note(text)

    def end(self) -> None:
        """No step follows."""
        self._inner.end()

    def pause(self) -> None:
        """A question follows."""
        self._inner.pause()

    def resume(self) -> None:
        """The question was answered."""
        self._inner.resume()

    def called(self, call: Call, status: int, seconds: float) -> None:
        """An HTTP exchange is over."""
        self._inner.called(call, status, seconds)

    def began(self, run_id: str, mode: str) -> None:
        """The run has its id."""
        self._inner.began(run_id, mode)

    def ended(self, report: dict[str, Any]) -> None:
        """The run has ended."""
        self._inner.ended(report)
