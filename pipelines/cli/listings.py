"""`flexsync customers list` and `search`: one page, or all customers, in a format of choice.

Promised: stdout holds the customers only, by default as the server's JSON; what a format leaves out is told on stderr.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.bodies import body_option, listing_options, listing_query, search_body, walk_body
from pipelines.cli.exit_codes import DONE
from pipelines.cli.options import load_settings, settings_options

if TYPE_CHECKING:
    from connector.api.calls import Call

__all__ = ["list_customers", "search"]

format_option = click.option(
    "--format",
    "kind",
    type=click.Choice(["json", "jsonl", "csv", "table"]),
    default="json",
    show_default=True,
    help="json: the server's own. jsonl: a customer a line. csv: all fields. table: the fields that name a customer.",
)


@click.command("list")
@settings_options
@listing_options
@click.option("--order", type=click.Choice(["asc", "desc"]), help="Order by created_at.")
@format_option
def list_customers(order: str | None, kind: str, **flags: Any) -> int:
    """List customers: GET /customers (get_customers)."""
    from connector.api import calls

    query = listing_query(flags)
    return _page(calls.list_customers(**query, order=order), kind, flags, expanded=bool(query.get("expand")))


@click.command("search")
@settings_options
@listing_options
@click.option("--sort", multiple=True, metavar="FIELD[:asc|desc]", help="Field to sort by. Repeatable.")
@click.option("--filter", "filters", multiple=True, metavar="JSON", help="One filter condition. Repeatable.")
@body_option
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="All customers, oldest first, page by page without offsets: what changes meanwhile moves no page.",
)
@format_option
def search(
    sort: tuple[str, ...], filters: tuple[str, ...], body: str | None, every: bool, kind: str, **flags: Any
) -> int:
    """Search customers: POST /customers/search (post_customers_search)."""
    from connector.api import calls

    asked = search_body(body, listing_query(flags), sort, filters)
    expanded = bool(asked.get("expand"))
    if not every:
        return _page(calls.search_customers(asked), kind, flags, expanded=expanded)
    from pipelines import operations
    from pipelines.report.customers import writer

    rest, size = walk_body(asked)
    settings = load_settings(**flags)
    out = writer(kind, sys.stdout, integrations=expanded)
    operations.walk(settings, rest, size, out.take)
    _note(out.close())
    return DONE


def _page(call: Call, kind: str, flags: dict[str, Any], *, expanded: bool) -> int:
    """Make one call, and print its customers."""
    from pipelines import operations
    from pipelines.report.customers import writer

    settings = load_settings(**flags)
    if kind == "json":
        click.echo(operations.send(call, settings))
        return DONE
    rows: list[bytes] = []
    total = operations.page(settings, call, rows.extend)
    out = writer(kind, sys.stdout, integrations=expanded)
    out.take(rows)
    _note(out.close())
    if total is not None and total > len(rows):
        _note(f"these are {len(rows)} of {total} customers; `customers search --all` gives all")
    return DONE


def _note(text: str) -> None:
    from pipelines.report.streams import write_message

    if text:
        write_message(f"note: {text}")
