"""Progress bars on a terminal: how far a step is, how fast it goes, and when it will be done.

Promised: a step whose end is not known shows its count and its rate, and no bar: an empty, a full or a moving one would
say something that nobody knows. Never done here: deciding what a step is (`pipelines.progress` defines that).
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from pipelines.progress import CALLS, Progress, Unit
from pipelines.report.values import visible

__all__ = ["BarProgress"]


class _Bar(BarColumn):
    """A bar; nothing where the total is not known."""

    def render(self, task: Task) -> Any:
        return Text("") if task.total is None else super().render(task)


class _Count(ProgressColumn):
    """How much is done, and of how much."""

    def render(self, task: Task) -> Text:
        if task.total is None and not task.completed:
            return Text("")
        done = f"{int(task.completed):,}"
        return Text(done if task.total is None else f"{done}/{int(task.total):,}", justify="right")


class _Rate(ProgressColumn):
    """How much was done in a second, from the begin of the step to the last of it; nothing before the first ones."""

    def render(self, task: Task) -> Text:
        seconds = task.fields["seconds"]
        return Text(f"{task.completed / seconds:,.0f} {task.fields['noun']}/s" if seconds else "", justify="right")


class _Left(TimeRemainingColumn):
    """The time that is left; nothing where the total is not known."""

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


class BarProgress(Progress):
    """Bars, drawn by rich.

    Args:
        console: where; by default stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description:<28}"), _Bar(), _Count(), _Rate(), _Left())
        self._bars = Bars(*columns, console=console or Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._bars.start()

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """Begin a line, in place of an earlier one of that name; without a total it counts rows and has no bar."""
        if name in self._tasks:
            self._bars.remove_task(self._tasks[name])
        noun = "rows" if total is None else unit[1].split()[0]
        self._tasks[name] = self._bars.add_task(name, total=total, noun=noun, seconds=0.0)
        self._began[name] = time.monotonic()

    def advance(self, name: str, count: int) -> None:
        """Move a bar."""
        if name in self._tasks:
            seconds = time.monotonic() - self._began[name]
            self._bars.update(self._tasks[name], advance=count, seconds=seconds)

    def note(self, text: str) -> None:
        """Write a note above the bars."""
        self._bars.console.print(f"note: {visible(text)}", highlight=False, markup=False)

    def end(self) -> None:
        """Remove the bars."""
        self._bars.stop()

    def pause(self) -> None:
        """Remove the bars for a while: rich would hold back a prompt, which has no line end."""
        self._bars.stop()

    def resume(self) -> None:
        """Draw the bars again."""
        self._bars.start()
