"""`flexsync doctor`: check everything that a sync needs.

Promised: each check is one line on stderr, with a remedy below it when the check fails; the exit code is that of the
first failure.
"""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.exit_codes import DONE
from pipelines.cli.options import load_settings, publish_option, settings_options

__all__ = ["doctor"]


@click.command()
@settings_options
@publish_option("Publication to check: duckdb:FILE or parquet:FOLDER.")
def doctor(**flags: Any) -> int:
    """Check settings, key, store, publications and server, and print a remedy for each failure."""
    from pipelines import doctor as job
    from pipelines.report.streams import write_message

    checks = job.doctor(load_settings(**flags))
    for check in checks:
        write_message(f"{'ok ' if check['ok'] else 'BAD'}  {check['check']}: {check['found']}")
        if not check["ok"]:
            write_message(f"     {check['remedy']}")
    return next((check["exit_code"] for check in checks if not check["ok"]), DONE)
