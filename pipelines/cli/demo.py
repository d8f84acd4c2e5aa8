"""`flexsync demo`: a sync of a sample account, and a question answered with SQL.

Promised: stdout holds the question, its answer and the commands to try next; progress and summary go to stderr.
"""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.cli.exit_codes import DONE, PARTIAL

__all__ = ["demo"]


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("flexsync-demo"),
    show_default=True,
    help="Folder for the copy; created when missing.",
)
@click.option("--customers", default=2000, show_default=True, help="Number of customers in the sample account.")
@click.option("--seed", default=7, show_default=True, help="Seed of the sample data.")
def demo(folder: Path, customers: int, seed: int) -> int:
    """Load a sample account from a sandbox and answer a question with SQL. Needs no account."""
    from pipelines import demo as job
    from pipelines.report.progress import show_progress
    from pipelines.report.rows import write_table
    from pipelines.report.streams import write_message
    from pipelines.report.sync_summary import sync_summary

    with show_progress() as progress:
        report, answer = job.demo(folder, customers, seed, progress)
    write_message(f"{sync_summary(report)}\n")
    click.echo(job.QUESTION)
    write_table(answer)
    click.echo(f"\nThe copy is in {folder}/billing.duckdb and {folder}/lake. Try next:")
    click.echo(
        f'  flexsync sql --on {folder}/billing.duckdb "SELECT plan_name, count(*) FROM subscriptions GROUP BY 1"'
    )
    click.echo(f"  flexsync status --store {folder}/work.duckdb")
    return DONE if report.status == "green" else PARTIAL
