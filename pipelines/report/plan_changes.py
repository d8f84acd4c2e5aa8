"""The changes of a plan, one line each on stdout.

Promised: a line names the line of the file, the action, the customer, and every field that changes, before → after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from connector.push.plan.entry import Entry
from pipelines.import_customers import Planned
from pipelines.report.values import one_line, visible

__all__ = ["write_changes"]

MAX_CHANGES = 20  # that are printed; the plan holds all


def write_changes(found: Planned) -> None:
    """Write the first changes to stdout, and how many more there are."""
    if found.plan is None:
        return
    planned = (entry for entry in found.plan.entries() if entry.writes)
    for entry in islice(planned, MAX_CHANGES):
        sys.stdout.write(f"{visible(_change(entry))}\n")
    rest = found.counts.create + found.counts.update + found.counts.archive - MAX_CHANGES
    if rest > 0:
        sys.stdout.write(f"… and {rest} more in {found.plan.path}\n")
    sys.stdout.flush()


def _change(entry: Entry) -> str:
    line = f"{entry.line}" if entry.line else "-"
    named = "external_id" if entry.do == "create" else ""  # the line begins with it
    fields = (_field(name, *pair) for name, pair in entry.set.items() if name != named)
    notes = "".join(f" [{note}]" for note in (*entry.notes, *entry.doubts))
    return f"{line:>5}  {entry.do:<8} {one_line(entry.external_id)}  {', '.join(chain(*fields))}{notes}".rstrip()


def _field(name: str, before: Any, after: Any) -> Iterator[str]:
    """A field, or each key of metadata that differs."""
    if name == "metadata":
        yield from _metadata(before, after)
    elif before is None and name != "contact":
        yield f"{name} {one_line(after)}"
    else:
        yield f"{name} {one_line(before)} → {one_line(after)}"


def _metadata(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[str]:
    old, new = before or {}, after or {}
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"metadata.{key} {one_line(old.get(key))} → {one_line(new.get(key))}"
    if old == new:
        yield f"metadata {one_line(before)} → {one_line(after)}"
