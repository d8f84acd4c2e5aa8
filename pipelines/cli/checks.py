"""`flexsync verify` and `flexsync doctor`: is the copy right, and is everything there that a sync needs.

Promised: `verify` prints the certificate and the differences as JSON on stdout, and exits with 1 when there are any;
`doctor` prints a line for each check on stdout, with a remedy below a failure; its exit code is that of the first one.
With `--json` both print one object, with `status` and `error`, on failure too.
"""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.options import json_option, load_known, load_settings, publish_option, settings_options

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
@json_option
def verify(sample: int, as_json: bool, **flags: Any) -> int:
    """Check the copy against the live API now, and print the certificate."""
    from pipelines import verify as job
    from pipelines.places import same_address
    from pipelines.report.streams import write_json

    settings = load_known(calls=True, **flags)
    if not flags["store"]:
        same_address(settings)
    found = job.verify(settings, sample)
    status = "ok" if found["ok"] else "differs"
    write_json({"status": status, **found, "error": None} if as_json else found)
    return DONE if found["ok"] else PARTIAL


@click.command()
@settings_options
@publish_option("Publication to check: duckdb:FILE or parquet:FOLDER.")
@json_option
def doctor(as_json: bool, **flags: Any) -> int:
    """Check settings, key, store, publications and server, and print a remedy for each failure."""
    from pipelines import doctor as job
    from pipelines.report.streams import write_json, write_report

    checks = job.doctor(load_settings(**flags))
    failed = next((check for check in checks if not check["ok"]), None)
    if as_json:
        write_json({"status": "failed" if failed else "ok", "checks": checks, "error": failed and _error(failed)})
    for check in () if as_json else checks:
        write_report(f"{'ok ' if check['ok'] else 'BAD'}  {check['check']}: {check['found']}")
        if not check["ok"]:
            write_report(f"     {check['remedy']}")
    return failed["exit_code"] if failed else DONE


def _error(check: dict[str, Any]) -> dict[str, Any]:
    """Return a failed check as `error` of one object, as `pipelines.cli.ending` writes it."""
    message = f"{check['check']}: {check['found']}"
    return {"message": message, **{name: check[name] for name in ("class", "remedy", "exit_code")}}
