"""Request bodies and queries of the customer operations, built from options.

In: the options of a command. Out: dictionaries that `connector.api.calls` takes.
Never done here: calls.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from connector.errors import FixInput
from connector.push.file.cells import unescaped
from pipelines.cli.options import Command, add_options

__all__ = [
    "body_option",
    "customer_body",
    "customer_options",
    "json_object",
    "listing_options",
    "listing_query",
    "search_body",
    "walk_body",
]

PAGE = 1000  # rows a call of a walk (contract.md 3.2)
LISTING = ("limit", "offset", "status", "expand", "external_id", "external_ids", "customer_ids", "email", "metadata")
FIELDS = (
    "name",
    "email",
    "contact",
    "address_line1",
    "address_line2",
    "address_city",
    "address_state",
    "address_postal_code",
    "address_country",
    "timezone",
)

body_option = click.option(
    "--body",
    metavar="JSON|@FILE|-",
    help="Request body: JSON, a file or stdin. Other options override its fields.",
)


def listing_options(command: Command) -> Command:
    """Add the options that both listings of customers share (contract.md 3.1)."""
    return add_options(
        command,
        [
            click.option("--limit", type=int, help="Rows per page, 1 to 1000; the server's default is 50."),
            click.option("--offset", type=int, help="Rows to skip."),
            click.option("--status", type=click.Choice(["published", "archived"]), help="Status of the customers."),
            click.option("--expand", type=click.Choice(["integrations"]), help="Include the customers' integrations."),
            click.option("--external-id", help="One external id."),
            click.option("--external-ids", multiple=True, help="One of several external ids. Repeatable."),
            click.option("--customer-ids", multiple=True, help="One of several ids. Repeatable."),
            click.option("--email", help="E-mail address."),
            click.option(
                "--metadata", multiple=True, metavar="KEY=VALUE", help="Metadata. Repeatable; all must match."
            ),
        ],
    )


def listing_query(flags: dict[str, Any]) -> dict[str, Any]:
    """Take the listing options out of `flags`; returns those that were given."""
    given = {name: flags.pop(name) for name in LISTING}
    given["metadata"] = _pairs(given["metadata"])
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v not in (None, (), {})}


def search_body(
    body: str | None, query: dict[str, Any], sort: tuple[str, ...], filters: tuple[str, ...]
) -> dict[str, Any]:
    """The body of a search: `--body`, overridden by the listing options, `--sort` and `--filter`."""
    found = {**json_object(body), **query}
    if sort:
        parts = [entry.partition(":") for entry in sort]
        found["sort"] = [{"field": name, "direction": direction or "asc"} for name, _, direction in parts]
    if filters:
        found["filters"] = [json_object(condition) for condition in filters]
    return found


def customer_options(command: Command) -> Command:
    """Add the options for the fields of a customer (contract.md 5.1)."""
    return add_options(
        command,
        [
            body_option,
            click.option(
                "--metadata", multiple=True, metavar="KEY=VALUE", help="One metadata key; \\N removes it. Repeatable."
            ),
            *(click.option(f"--{name.replace('_', '-')}") for name in FIELDS),
        ],
    )


def customer_body(flags: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    r"""Take a customer's fields out of `flags`.

    Returns:
        `--body` overridden by the fields that were given; and the pairs of `--metadata`, as a cell of an import says
        them: None for ``\\N``, which removes a key.
    """
    body = json_object(flags.pop("body"))
    pairs = {name: unescaped(text) if text else text for name, text in _pairs(flags.pop("metadata")).items()}
    given = {name: flags.pop(name) for name in FIELDS}
    body.update({name: value for name, value in given.items() if value is not None})
    return body, pairs


def walk_body(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Take from the body of a search what a walk asks for by itself.

    Returns:
        The rest, and the customers a call.

    Raises:
        FixInput: it asks for another order, or for a part.
    """
    for name in ("sort", "order", "offset"):
        if body.get(name) is not None:
            raise FixInput(
                f"--all and {name} exclude each other: it walks all customers, oldest first.", remedy="Leave one out."
            )
    size = body.get("limit") or PAGE
    if not isinstance(size, int) or isinstance(size, bool):
        raise FixInput(f"--all: limit {size!r} is not a number of rows.", remedy="Write --limit 500.")
    rest = {name: value for name, value in body.items() if name != "limit" and value is not None}
    return {"status": "published", **rest}, size


def json_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object from a text, from @FILE, or from standard input (-). None is an empty object.

    Raises:
        FixInput: it cannot be read, or it is not a JSON object.
    """
    if text is None:
        return {}
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = _read(Path(text[1:]))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FixInput(f"the body is not JSON: {error}.", remedy="Give a JSON object, @FILE or -.") from error
    if not isinstance(found, dict):
        raise FixInput(f"the body is not a JSON object: {text[:60]}.", remedy='Write {"name": "…"}.')
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FixInput(f"{path} cannot be read: {error}.", remedy="Name a UTF-8 file with a JSON object.") from error


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise FixInput(f"--metadata {value!r} is not KEY=VALUE.", remedy="Write --metadata tier=gold.")
        pairs[name] = text
    return pairs
