"""`flexsync verify` and `flexsync doctor`: is the copy right, and is everything there that a sync needs.

Promised: `verify` prints the certificate and the differences as JSON on stdout, and exits with 1 when there are any;
`doctor` prints a line for each check on stdout, with a remedy below a failure; its exit code is that of the first one.
"""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.options import load_known, load_settings, publish_option, settings_options

__all__ = ["doctor", "verify"]


@click.command()
@settings_options
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Number of customers to compare field by field.",
)
def verify(sample: int, **flags: Any) -> int:
    """Check the copy against the live API now, and print the certificate."""
    from pipelines import verify as job
    from pipelines.places import same_address
    from pipelines.report.streams import write_json

    settings = load_known(calls=True, **flags)
    if not flags["store"]:
        same_address(settings)
    found = job.verify(settings, sample)
    write_json(found)
    return DONE if found["ok"] else PARTIAL


@click.command()
@settings_options
@publish_option("Publication to check: duckdb:FILE or parquet:FOLDER.")
def doctor(**flags: Any) -> int:
    """Check settings, key, store, publications and server, and print a remedy for each failure."""
    from pipelines import doctor as job
    from pipelines.report.streams import write_report

    checks = job.doctor(load_settings(**flags))
    for check in checks:
        write_report(f"{'ok ' if check['ok'] else 'BAD'}  {check['check']}: {check['found']}")
        if not check["ok"]:
            write_report(f"     {check['remedy']}")
    return next((check["exit_code"] for check in checks if not check["ok"]), DONE)
