"""`flexsync sync`: load, prove, publish.

Promised: stdout holds the report, as lines or as one JSON object (`--json`, `--dry-run`); stderr holds progress and
warnings; 0 means green, 1 degraded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.options import Duration, load_settings, pace_options, publish_option, settings_options, with_default

__all__ = ["sync"]


@click.command()
@settings_options
@publish_option("Publication to write: duckdb:FILE or parquet:FOLDER.")
@click.option(
    "--publish-when",
    type=click.Choice(["always", "green"]),
    help=with_default("Publish degraded runs too (always), or only green ones.", "always"),
)
@click.option("--full", is_flag=True, help="Read everything, whatever the cursors say.")
@click.option(
    "--only",
    metavar="R,…",
    help="Resources to load: customers, subscriptions, usage, entitlements, upcoming_grants. Comma-separated.",
)
@click.option("--no-prune", is_flag=True, help="Call every customer, also those without a subscription.")
@click.option(
    "--accept-lower",
    multiple=True,
    metavar="CUSTOMER|all",
    help="Accept lower figures of this customer, or of all. Repeatable.",
)
@click.option(
    "--accept-gone",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Mark up to N customers, and N subscriptions, as gone in this run if the server no longer has them.",
)
@click.option("--dry-run", is_flag=True, help="Count what a sync would read, as JSON on stdout. Writes nothing.")
@click.option("--max-calls", type=int, help="Stop after this many calls; the next run resumes.")
@pace_options
@click.option(
    "--deadline",
    type=Duration(),
    help=with_default("Stop after this time, such as 15m or 2h; the next run resumes.", "12h"),
)
@click.option("--log", type=click.Path(path_type=Path), help="Append a log of the run to this file, as lines of JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing when the run is green; --json still prints its object.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object, on failure too.")
def sync(
    full: bool,
    only: str | None,
    no_prune: bool,
    accept_lower: tuple[str, ...],
    accept_gone: int,
    dry_run: bool,
    log: Path | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Load new and changed data, prove that the copy is complete, and publish it.

    The report goes to stdout, progress and warnings to stderr. A degraded run says why.
    """
    from pipelines import jobs
    from pipelines.report.log import logged
    from pipelines.report.progress import show_progress
    from pipelines.report.streams import write_json, write_report
    from pipelines.report.sync_summary import sync_summary
    from pipelines.sync import Options

    flags["only"] = tuple(name.strip() for name in only.split(",")) if only else None
    flags["prune"] = False if no_prune else None
    settings = load_settings(quiet=quiet, **flags)
    options = Options(full, frozenset(accept_lower), accept_gone)
    if dry_run:
        write_json(jobs.dry_run(settings, options))
        return DONE
    with show_progress(quiet=quiet) as shown, logged(shown, log) as progress:
        report = jobs.sync(settings, options, progress)
    green = report.status == "green"
    if as_json:
        write_json({**report.plain(), "error": None})
    elif not (quiet and green):
        write_report(sync_summary(report))
    return DONE if green else PARTIAL
