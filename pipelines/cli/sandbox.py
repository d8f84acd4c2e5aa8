"""`flexsync demo` and `flexsync sandbox`: try Flexsync on a sample account.

Promised: neither needs an account or the internet. stdout of `demo` holds a line a night, if nights were asked for, the
question, its answer and the commands to try next; stdout of `sandbox` holds one line, a command that syncs from it,
printed when the server accepts calls.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE, PARTIAL

__all__ = ["demo", "sandbox"]

CUSTOMERS, CUSTOMERS_BY_NIGHT = 2000, 300
"""Customers of the sample account by default, for one sync and for several nights."""


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("flexsync-demo"),
    show_default=True,
    help="Folder for the copy; created when missing.",
)
@click.option(
    "--customers",
    type=click.IntRange(min=1),
    help=f"Number of customers in the sample account.  [default: {CUSTOMERS}; {CUSTOMERS_BY_NIGHT} with --nights]",
)
@click.option("--seed", default=7, show_default=True, help="Seed of the sample data.")
@click.option(
    "--nights",
    type=click.IntRange(min=1),
    help="Sync once a night for this many nights, in which the account changes; the last copy is published.",
)
@click.option(
    "--last-night",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the last of these nights, in the past.  [default: the latest night]",
)
def demo(folder: Path, customers: int | None, seed: int, nights: int | None, last_night: datetime | None) -> int:
    """Load a sample account from a sandbox and answer a question with SQL. Needs no account."""
    from pipelines import demo as job
    from pipelines import nights as job_by_night
    from pipelines.report.invoked import invoked
    from pipelines.report.nights import write_nights
    from pipelines.report.progress import show_progress
    from pipelines.report.rows import write_table
    from pipelines.report.streams import write_message
    from pipelines.report.sync_summary import sync_summary

    size = customers if customers is not None else CUSTOMERS_BY_NIGHT if nights else CUSTOMERS
    if last_night and not nights:
        raise FixInput("--last-night needs --nights.", remedy="Add --nights 30.")
    with show_progress() as progress:
        if nights:
            last = job_by_night.night_of(last_night) if last_night else job_by_night.latest_night()
            played, answer = job_by_night.play(folder, nights, size, seed, progress, last)
            reports = [night.report for night in played]
        else:
            report, answer = job.demo(folder, size, seed, progress)
            played, reports = [], [report]
    write_message(f"{sync_summary(reports[-1])}\n")  # how the copy came about; stdout is for the answer
    if played:
        write_nights(played)
        click.echo()
    click.echo(job.QUESTION)
    write_table(answer)
    click.echo(f"\nThe copy is in {folder}/billing.duckdb and {folder}/lake. Try next:")
    copy, store = shlex.quote(f"{folder}/billing.duckdb"), shlex.quote(f"{folder}/work.duckdb")
    click.echo(f'  {invoked()} sql --on {copy} "SELECT plan_name, count(*) FROM subscriptions GROUP BY 1"')
    click.echo(f"  {invoked()} status --store {store}")
    return DONE if all(report.status == "green" for report in reports) else PARTIAL


@click.command()
@click.option("--customers", type=click.IntRange(min=0), default=2000, show_default=True, help="Number of customers.")
@click.option("--seed", default=7, show_default=True, help="Seed of the data; the same seed gives the same account.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--latency", type=click.FloatRange(min=0), help="Delay of each response, in milliseconds.")
@click.option(
    "--faults", default="", help="Faults to inject, such as error_rate=0.05,rate=20,retry_after=1. See docs/sandbox.md."
)
@click.option(
    "--subscribed", type=click.FloatRange(0, 1), help="Share of customers with an active or trialing subscription."
)
@click.option("--several", type=click.FloatRange(0, 1), help="Share of those that have several.")
def sandbox(
    customers: int,
    seed: int,
    port: int,
    host: str,
    latency: float | None,
    faults: str,
    subscribed: float | None,
    several: float | None,
) -> int:
    """Serve a FlexPrice API with seeded data and configurable faults. Its API key is `sandbox`."""
    from connector.sandbox import Faults, run
    from pipelines.report.invoked import invoked
    from pipelines.report.streams import write_message

    wanted = ",".join(part for part in (f"latency={latency:g}" if latency else "", faults) if part)

    def ready(base_url: str) -> None:
        write_message(f"{customers} customers at {base_url}, API key: sandbox. Stop with Ctrl-C. In another terminal:")
        click.echo(f"FLEXPRICE_BASE_URL={base_url} FLEXPRICE_API_KEY=sandbox {invoked()} sync --store work.duckdb")

    try:
        run(customers, seed, port, Faults.parse(wanted), host, ready, subscribed=subscribed, several=several)
    except OSError as error:
        raise FixInput(f"{host} port {port}: {error.strerror}.", remedy="Choose another --port or --host.") from error
    return DONE
