"""The status of the copy for people: its age in one line, its last runs and row counts as tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from connector.plurals import counted
from pipelines.report.rows import write_rows

__all__ = ["green_line", "publication_lines", "running_line", "status_line", "write_tables"]

COLUMNS = ("run_id", "mode", "status", "started_at", "calls")


def status_line(found: dict[str, Any], max_age: timedelta | None) -> str:
    """Source, age, and how many rejects and suspects there are; `max_age` is named when the copy is older."""
    seconds = found["age_seconds"]
    if seconds is None:
        age = "no run has ended yet" if found["running"] else "never finished a run"
    elif seconds < 0:
        age = f"dated {timedelta(seconds=-seconds)} ahead of this machine's clock, so its age is not known"
    else:
        age = f"{timedelta(seconds=seconds)} old"
    older = f", older than {max_age}" if max_age and found["stale"] and (seconds or 0) >= 0 else ""
    held = f"{counted(found['rejects'], 'reject')}, {counted(found['suspects'], 'suspect')}"
    return f"{found['source']}: {age}{older}, {held}"


def running_line(found: dict[str, Any]) -> str:
    """The run that holds the store: since when, and how far its steps are; "" if none does."""
    run = found["running"]
    if not run:
        return ""
    steps = ", ".join(_step(step) for step in run["steps"])
    named = f"run {run['run_id']}, {run['mode']}" if run["run_id"] else "a run"
    return f"running: {named}, since {run['began']}: {steps or 'beginning or publishing'} (at {run['seen']})"


def _step(step: dict[str, Any]) -> str:
    if step["total"] is None:
        return f"{step['name']} {step['done']} {step['unit']}" if step["done"] else str(step["name"])
    return f"{step['name']} {step['done']} of {step['total']} {step['unit']}"


def green_line(found: dict[str, Any]) -> str:
    """The last green run, and every publication that holds it; "" in a copy without a run."""
    green = found["last_green"]
    if not green:
        return "no run has been green yet" if found["runs"] else ""
    if green["targets"]:
        places = " and ".join(green["targets"])
        return f"last green run {green['run_id']}, published {green['published_at']} to {places}"
    ended = f"{green['finished_at']:%Y-%m-%dT%H:%M:%S}+00:00"
    unpublished = "; no publication holds it" if found["publications"] else ""
    return f"last green run {green['run_id']}, ended {ended}{unpublished}"


def publication_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what each publication holds, but of those that hold the last green run only."""
    newest = found["last_green"]["run_id"] if found["last_green"] else None
    for one in found["publications"]:
        if one["error"]:
            yield f"{one['target']}: {one['error']}"
        elif one["run_id"] != newest:
            kept = f"; its last green run is {one['green']['run_id']}" if one["green"] else ""
            yield f"{one['target']} holds run {one['run_id']}, {one['status']}, published {one['published_at']}{kept}"


def write_tables(found: dict[str, Any]) -> None:
    """Write the last runs, and the rows of each table, to stdout."""
    if found["runs"]:
        write_rows(COLUMNS, [[run[name] for name in COLUMNS] for run in found["runs"]])
    if found["rows"]:
        write_rows(("table", "rows"), list(found["rows"].items()))
