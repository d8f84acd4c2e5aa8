"""`flexsync sql`: query the copy.

Promised: stdout holds the result only; a query cannot write (`connector.publications.reading`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE
from pipelines.cli.options import load_known, publish_option, settings_options

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["sql"]


@click.command()
@settings_options
@click.argument("query")
@click.option(
    "--on",
    metavar="PATH",
    help="Publication or store to query. Default: the store, here or of the settings; while a sync holds it, the newest"
    " publication.",
)
@publish_option("Publication to read while a sync holds the store, or for --green.")
@click.option(
    "--green", is_flag=True, help="Query the last green run: the newest, or the one kept beside a degraded publication."
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="Format of the result.",
)
@click.option("--output", type=click.Path(path_type=Path), help="File to write. Default: stdout; parquet needs a file.")
def sql(query: str, on: str | None, green: bool, kind: str, output: Path | None, **flags: Any) -> int:
    """Run a SQL query on the copy, read-only. QUERY may be - for standard input."""
    from pipelines import jobs
    from pipelines.opening import unfinished
    from pipelines.report.streams import write_message

    with jobs.reading(load_known(on, **flags), on, green=green) as (opened, remark):
        for note in filter(None, (remark, unfinished(opened))):
            write_message(f"note: {note}")
        found = opened.sql(sys.stdin.read() if query == "-" else query)
        try:
            _write(found, kind, output)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FixInput(f"{output} cannot be written: {error}.", remedy="Choose another --output.") from error
    return DONE


def _write(found: pa.Table, kind: str, output: Path | None) -> None:
    from pipelines.report import rows

    if kind == "parquet":
        if output is None:
            raise FixInput("--format parquet needs a file: it is not written to stdout.", remedy="Add --output FILE.")
        rows.write_parquet(found, output)
        return
    write = {"table": rows.write_table, "csv": rows.write_csv, "json": rows.write_json}[kind]
    with click.open_file(str(output or "-"), "w", encoding="utf-8") as file:
        write(found, file)
