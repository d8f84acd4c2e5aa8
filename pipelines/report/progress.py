"""The progress of a job on stderr: bars with an ETA on a terminal, one line for each step elsewhere.

Never done here: deciding what a step is (`pipelines.progress` defines that).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connector.plurals import counted
from pipelines.progress import CALLS, Progress, Unit
from pipelines.report.streams import write_message

__all__ = ["BarProgress", "LineProgress", "show_progress"]


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Give the progress that suits stderr, and end it when the block ends."""
    progress = BarProgress() if sys.stderr.isatty() else LineProgress()
    try:
        yield progress
    finally:
        progress.end()


class LineProgress(Progress):
    """One line for each step, for logs."""

    def __init__(self) -> None:
        self._name = ""
        self._counts: dict[str, int] = {}

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """Write a line with the total; without one, the line follows when the step ends."""
        self.end()
        self._name = name if total is None else ""
        if total is not None:
            write_message(f"{name}: {counted(total, *unit)}")

    def advance(self, name: str, count: int) -> None:
        """Count, and write nothing."""
        self._counts[name] = self._counts.get(name, 0) + count

    def note(self, text: str) -> None:
        """Write a note."""
        write_message(f"note: {text}")

    def end(self) -> None:
        """Write how many rows the last step read."""
        if self._name and self._name in self._counts:
            write_message(f"{self._name}: {counted(self._counts[self._name], 'row')}")
        self._name = ""


class BarProgress(Progress):
    """Bars with an ETA, drawn by rich on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}
        self._bars.start()

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """Draw a bar, in place of an earlier one of that name; without a total it only counts."""
        if name in self._tasks:
            self._bars.remove_task(self._tasks[name])
        self._tasks[name] = self._bars.add_task(name, total=total)

    def advance(self, name: str, count: int) -> None:
        """Move a bar."""
        if name in self._tasks:
            self._bars.advance(self._tasks[name], count)

    def note(self, text: str) -> None:
        """Write a note above the bars."""
        self._bars.console.print(f"note: {text}", highlight=False, markup=False)

    def end(self) -> None:
        """Remove the bars."""
        self._bars.stop()

    def pause(self) -> None:
        """Remove the bars for a while: rich would hold back a prompt, which has no line end."""
        self._bars.stop()

    def resume(self) -> None:
        """Draw the bars again."""
        self._bars.start()
