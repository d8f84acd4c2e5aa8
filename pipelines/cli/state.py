"""`flexsync status` and `flexsync state …`: what the store holds, and from where the next sync starts.

Promised: stdout holds what was found, as lines and tables or as JSON, stderr what was changed; `status` exits with 1
when the copy is stale.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.help import Group
from pipelines.cli.options import (
    Duration,
    Moment,
    json_option,
    load_known,
    load_settings,
    publish_option,
    settings_options,
)

__all__ = ["state", "status"]


@click.command()
@settings_options
@publish_option("Publication to read while a sync holds the store.")
@click.option("--max-age", type=Duration(), help="Exit with 1 when the copy is older than this, such as 26h.")
@json_option
def status(max_age: timedelta | None, as_json: bool, **flags: Any) -> int:
    """Show the age of the copy, its row counts and its last runs.

    A copy is stale when it is older than --max-age, or no run has ended.
    While a sync runs, it shows the newest publication, and how far the running one is.
    """
    from pipelines import jobs
    from pipelines.report import status as report
    from pipelines.report.streams import write_json, write_report

    found = jobs.status(load_known(**flags), max_age)
    if as_json:
        first = found["age_seconds"] is None and found["running"]
        status = "stale" if found["stale"] else "running" if first else "fresh"
        write_json({"status": status, **found, "error": None})
    else:
        lines = [report.status_line(found, max_age), report.running_line(found), report.green_line(found)]
        for line in filter(None, (*lines, *report.publication_lines(found))):
            write_report(line)
        report.write_tables(found)
    return PARTIAL if found["stale"] else DONE


@click.group(cls=Group)
def state() -> None:
    """Show or change the cursors from which the next sync starts."""


@state.command("show")
@settings_options
@json_option
def show(as_json: bool, **flags: Any) -> int:
    """Print the cursors and the last runs as JSON."""
    from pipelines import jobs
    from pipelines.report.streams import write_json

    found = jobs.show_state(load_settings(**flags))
    write_json({"status": "ok", **found, "error": None} if as_json else found)
    return DONE


@state.command("reset")
@settings_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def reset(yes: bool, **flags: Any) -> int:
    """Delete the cursors, so that the next sync reads everything again. Rows stay."""
    from pipelines import jobs
    from pipelines.report.streams import write_message

    if not yes:
        click.confirm("Delete the cursors? The next sync will read everything again.", abort=True, err=True)
    settings = load_settings(**flags)
    jobs.reset_state(settings)
    write_message(f"{settings.sync.store}: the cursors are deleted; the next sync reads everything again")
    return DONE


@state.command("set")
@settings_options
@click.argument("moment", type=Moment())
def set_cursors(moment: datetime, **flags: Any) -> int:
    """Move the cursors back to MOMENT (ISO 8601), so that the next sync reads from there."""
    from connector.plurals import counted
    from pipelines import jobs
    from pipelines.report.streams import write_message

    settings = load_settings(**flags)
    moved = jobs.set_state(settings, moment)
    at = moment.astimezone(UTC).isoformat()
    write_message(f"{settings.sync.store}: {counted(moved, 'cursor')} moved back; the next sync reads from {at}")
    return DONE
