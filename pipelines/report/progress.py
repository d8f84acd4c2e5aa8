"""The progress of a job on stderr: bars on a terminal (`bars`), one line for each step elsewhere, or nothing.

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

__all__ = ["LineProgress", "QuietProgress", "show_progress"]


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Give the progress that suits stderr, and end it when the block ends.

    Args:
        quiet: show nothing, unless the block ends with an error, or the run is not green.
    """
    if quiet:
        silent = QuietProgress()
        try:
            yield silent
        except BaseException:
            silent.tell()
            raise
        return
    progress = _display()
    try:
        yield progress
    finally:
        progress.end()


def _display() -> Progress:
    if not sys.stderr.isatty():
        return LineProgress()
    from pipelines.report.bars import BarProgress

    return BarProgress()


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


class QuietProgress(Progress):
    """Nothing, unless the run ends badly: then its notes, which say how that came."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self._notes.append(text)

    def ended(self, report: dict[str, Any]) -> None:
        """Write the notes of a run that is not green."""
        if report["status"] != "green":
            self.tell()

    def tell(self) -> None:
        """Write the notes."""
        for text in self._notes:
            write_message(f"note: {text}")
        self._notes.clear()
