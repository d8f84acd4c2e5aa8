"""What people and machines are told: progress on a terminal, lines elsewhere, reports, tables of rows.

Promised: stdout is data, stderr is talk; progress moves only on a terminal, elsewhere each step is one line; nothing
here ever sees the key. Never done: deciding, fetching.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from connector.tables.resources import RESOURCES
from pipelines.progress import Progress
from pipelines.summary import Report


def say(text: str) -> None:
    """Talk: one line on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def data(value: Any) -> None:
    """Data: one JSON document on stdout, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def progress(quiet: bool = False) -> Progress:
    """Return the progress that fits stderr: bars with an ETA on a terminal, one line a step elsewhere."""
    if quiet:
        return Progress()
    return Bars() if sys.stderr.isatty() else Lines()


class Lines(Progress):
    """One line for every step that ended, for logs."""

    def __init__(self) -> None:
        self._name = ""
        self._counts: dict[str, int] = {}

    def step(self, name: str, total: int | None = None, unit: str = "calls to make") -> None:
        """Say what begins; the count comes when the next step does."""
        self.end()
        self._name = name if total is None else ""
        if total is not None:
            say(f"{name}: {total} {unit}")

    def advance(self, name: str, count: int) -> None:
        """Count quietly."""
        self._counts[name] = self._counts.get(name, 0) + count

    def note(self, text: str) -> None:
        """Say something once."""
        say(f"note: {text}")

    def end(self) -> None:
        """Say what the last step read."""
        if self._name and self._name in self._counts:
            say(f"{self._name}: {self._counts[self._name]} rows")
        self._name = ""


class Bars(Progress):
    """Bars with rates and an ETA, drawn by rich on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Drawn

        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._drawn = Drawn(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}
        self._drawn.start()

    def step(self, name: str, total: int | None = None, unit: str = "calls to make") -> None:
        """Draw a bar, in place of an earlier one of that name; without a total it only counts."""
        if name in self._tasks:
            self._drawn.remove_task(self._tasks[name])
        self._tasks[name] = self._drawn.add_task(name, total=total)

    def advance(self, name: str, count: int) -> None:
        """Move a bar."""
        if name in self._tasks:
            self._drawn.advance(self._tasks[name], count)

    def note(self, text: str) -> None:
        """Say something above the bars."""
        self._drawn.console.print(f"note: {text}", highlight=False, markup=False)

    def end(self) -> None:
        """Take the bars away."""
        self._drawn.stop()

    def pause(self) -> None:
        """Take them away for a while: a prompt would be held back, for it ends without a line end."""
        self._drawn.stop()

    def resume(self) -> None:
        """Draw them again."""
        self._drawn.start()


def summary(report: Report) -> str:
    """Return what a person wants to know of a run, a few lines."""
    lines = [f"{report.status.upper()}  run {report.run_id}, {report.mode}, {report.seconds:.1f} s"]
    if report.resumed:
        lines[0] += f", resumed {report.resumed} time{'s' if report.resumed > 1 else ''}"
    if set(report.resources) != set(RESOURCES):
        lines.append(f"only       {', '.join(report.resources)}; nothing is said of the rest")
    lines += _customers(report)
    lines.append(f"calls      {report.plain()['calls']}: {_operations(report)}")
    lines += _pace(report)
    lines += _moved(report)
    lines += [f"missing    {reason}" for reason in report.reasons]
    lines += [f"note       {note}" for note in report.notes]
    if report.unknown:
        lines.append("unknown    fields kept in `extra`: " + ", ".join(sorted(report.unknown)))
    lines += _unproven(report)
    lines += [f"published  {target}" for target in report.published]
    return "\n".join(lines)


def _customers(report: Report) -> list[str]:
    found = report.certificate.get("customers")
    if not found:
        return []
    word = "all" if found["holds"] else "NOT all"
    counted = "an unknown number" if found["existed"] is None else found["existed"]
    return [f"customers  {counted} existed at {found['t0']}, {word} of them are in the store ({found['stored']})"]


def _operations(report: Report) -> str:
    operations = report.flow.get("operations", {})
    return ", ".join(f"{count} {name}" for name, count in operations.items())


def _pace(report: Report) -> list[str]:
    """Achieved and possible calls per second, and what was waited for."""
    flow = report.flow
    # Waiting for an endpoint's own limit is how the pace is kept; the other reasons are news.
    reasons = [(reason, seconds) for reason, seconds in flow.get("waited", {}).items() if reason != "limit"]
    waited = ", ".join(f"{seconds:.1f} s for {reason}" for reason, seconds in reasons)
    paces = [
        f"{name} {told['calls_per_second']:.0f} of {max(told['possible_per_second'], told['calls_per_second']):.0f}"
        for name, told in flow.get("endpoints", {}).items()
        if name in ("usage", "entitlements", "upcoming_grants")
    ]
    lines = [f"pace       calls a second, of those possible: {', '.join(paces)}"] if paces else []
    return lines + ([f"waited     {waited}"] if waited else [])


def _moved(report: Report) -> list[str]:
    same = f"{report.unchanged} answers were the same as last time"
    if not report.moved:
        return [f"rows       nothing moved; {same}"]
    lines = [f"rows       {'':<22}{'new':>9}{'changed':>9}{'gone':>9}"]
    for table, moved in report.tables.items():
        figures = [moved[key] for key in ("inserted", "updated", "deleted")]
        if any(figures):
            lines.append(f"           {table:<22}" + "".join(f"{figure:>9}" for figure in figures))
    return lines + ([f"           {same}"] if report.unchanged else [])


def _unproven(report: Report) -> list[str]:
    zeros = report.certificate.get("zeros") or {}
    if not zeros.get("unproven"):
        return []
    return [
        f"unproven   {zeros['unproven']} zeros of {zeros['metered']} metered figures have no earlier figure of their "
        "window to be compared with (flexsync.unproven)"
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str] | None = None) -> None:
    """Print rows as a table on stdout, as wide as needed."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=out or sys.stdout, width=None if (out or sys.stdout).isatty() else 4000, highlight=False)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for row in rows:
        drawn.add_row(*[_cell(value) for value in row])
    console.print(drawn)


def _cell(value: Any) -> str:
    from rich.markup import escape

    return "" if value is None else escape(plain(value))


def plain(value: Any) -> str:
    """Write a value as a person would: decimals without trailing zeros, moments in ISO form."""
    from datetime import datetime
    from decimal import Decimal

    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def jsonable(value: Any) -> Any:
    """Make a row JSON-able: decimals as exact strings, maps as objects, moments in ISO form."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {key: jsonable(item) for key, item in value}
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return plain(value)
