"""`flexsync sandbox`: serve a FlexPrice API with seeded data.

Promised: stdout holds one line, a command that syncs from this server; it is printed when the server accepts calls.
"""

from __future__ import annotations

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE

__all__ = ["sandbox"]


@click.command()
@click.option("--customers", default=2000, show_default=True, help="Number of customers.")
@click.option("--seed", default=7, show_default=True, help="Seed of the data; the same seed gives the same account.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--latency", type=float, help="Delay of every response, in milliseconds.")
@click.option(
    "--faults", default="", help="Faults to inject, such as error_rate=0.05,rate=20,retry_after=1. See docs/sandbox.md."
)
def sandbox(customers: int, seed: int, port: int, host: str, latency: float | None, faults: str) -> int:
    """Serve a FlexPrice API with seeded data and configurable faults. Its API key is `sandbox`."""
    from connector.sandbox import Faults, run
    from pipelines.report.streams import write_message

    wanted = ",".join(part for part in (f"latency={latency:g}" if latency else "", faults) if part)

    def ready(base_url: str) -> None:
        write_message(f"Serving {customers} customers at {base_url}, API key: sandbox. Ctrl-C stops it.")
        write_message("In another terminal:")
        click.echo(f"FLEXPRICE_BASE_URL={base_url} FLEXPRICE_API_KEY=sandbox flexsync sync --store work.duckdb")

    try:
        run(customers, seed, port, Faults.parse(wanted), host, ready)
    except OSError as error:
        raise FixInput(f"{host} port {port}: {error.strerror}.", remedy="Choose another --port.") from error
    return DONE
