"""`flexsync customers …`: the ten customer operations.

Promised: stdout holds the server's JSON as it came, indented; nothing is printed when the response has no body. Every
command about one customer takes ID or --external-id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from connector.errors import FixInput
from pipelines.cli.bodies import customer_body, customer_options
from pipelines.cli.exit_codes import DONE
from pipelines.cli.help import Group
from pipelines.cli.listings import list_customers, search
from pipelines.cli.options import Command, add_options, load_settings, settings_options

if TYPE_CHECKING:
    from pipelines.operations import Whose

__all__ = ["customers"]

feature_ids_option = click.option("--feature-ids", multiple=True, help="Only these features, by id. Repeatable.")
subscription_ids_option = click.option(
    "--subscription-ids", multiple=True, help="Only these subscriptions, by id. Repeatable."
)


@click.group(cls=Group)
def customers() -> None:
    """Call one of the ten customer operations, and print the server's JSON."""


customers.add_command(list_customers)
customers.add_command(search)


def customer_option(command: Command) -> Command:
    """Add what says which customer is meant: ID or --external-id."""
    return add_options(
        command,
        [
            click.argument("id", required=False),
            click.option("--external-id", help="Your own id of the customer, instead of ID."),
        ],
    )


def _whose(flags: dict[str, Any]) -> Whose:
    """Take the customer out of `flags`. Raises `FixInput` for both ids, for none, and for an empty one."""
    from pipelines.operations import Whose

    id, external_id = flags.pop("id"), flags.pop("external_id")
    if (id is None) == (external_id is None):
        found = "no customer is named" if id is None else "ID and --external-id name two customers"
        raise FixInput(f"{found}: give either ID or --external-id.", remedy="ID is the server's, like cust_01M8…")
    if not id and not external_id:
        raise FixInput("ID or --external-id is empty.", remedy="Is the variable set that should hold it?")
    return Whose(id or "", external_id or "")


def _print(body: str) -> int:
    if body:
        click.echo(body)
    return DONE


@customers.command("get")
@settings_options
@customer_option
@click.option("--expand", type=click.Choice(["integrations"]), help="Include the customer's integrations.")
def get(expand: str | None, **flags: Any) -> int:
    """Get a customer: GET /customers/{id} (get_customers_id_).

    With --external-id: GET /customers/external/{external_id} (get_customers_external_external_id_).
    """
    from pipelines import operations

    whose = _whose(flags)
    return _print(operations.get(load_settings(**flags), whose, expand=expand))


@customers.command("create")
@settings_options
@customer_options
@click.option("--external-id", help="External id of the new customer.")
@click.option("--skip-onboarding-workflow", is_flag=True, help="Do not start the account's onboarding workflow.")
def create(external_id: str | None, skip_onboarding_workflow: bool, **flags: Any) -> int:
    """Create a customer: POST /customers (post_customers)."""
    from connector.api import calls
    from pipelines import operations

    body, pairs = customer_body(flags)
    if pairs:
        body["metadata"] = operations.Merge(pairs).over({})
    if external_id is not None:
        body["external_id"] = external_id
    if skip_onboarding_workflow:
        body["skip_onboarding_workflow"] = True
    return _print(operations.send(calls.create_customer(body), load_settings(**flags)))


@customers.command("update")
@settings_options
@customer_options
@customer_option
@click.option("--new-external-id", help="New external id of the customer.")
@click.option("--metadata-replace", is_flag=True, help="Remove the metadata keys that --metadata does not name.")
def update(new_external_id: str | None, metadata_replace: bool, **flags: Any) -> int:
    """Update a customer: PUT /customers (put_customers).

    Metadata keys that are not named stay: one more call reads them just before, because the API replaces them all.
    """
    from pipelines import operations

    whose = _whose(flags)
    body, pairs = customer_body(flags)
    if new_external_id is not None:
        body["external_id"] = new_external_id
    if metadata_replace and not pairs and "metadata" not in body:
        raise FixInput(
            "--metadata-replace without --metadata would remove all metadata.",
            remedy="Name the keys to keep, or write --body '{\"metadata\": {}}'.",
        )
    if pairs and not isinstance(body.get("metadata"), dict | None):
        raise FixInput("metadata in the body is not an object.", remedy='Write {"metadata": {"tier": "gold"}}.')
    if not body and not pairs:
        raise FixInput("nothing to change: no field was given.", remedy="Name one, as --name NAME.")
    merge = operations.Merge(pairs) if pairs else None
    if merge and metadata_replace:
        body, merge = {**body, "metadata": merge.over({})}, None
    return _print(operations.update(load_settings(**flags), whose, body, merge))


@customers.command("delete")
@settings_options
@customer_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def delete(yes: bool, **flags: Any) -> int:
    """Archive a customer: DELETE /customers/{id} (delete_customers_id_). The API cannot undo it."""
    from pipelines import operations

    whose = _whose(flags)
    settings = load_settings(**flags)
    if not yes:
        click.confirm(f"Archive {whose.id or whose.external_id}? The API cannot undo it.", abort=True, err=True)
    return _print(operations.delete(settings, whose))


@customers.command("usage")
@settings_options
@customer_option
@feature_ids_option
@click.option("--feature-lookup-keys", multiple=True, help="Only these features, by lookup key. Repeatable.")
@subscription_ids_option
def usage(
    feature_ids: tuple[str, ...],
    feature_lookup_keys: tuple[str, ...],
    subscription_ids: tuple[str, ...],
    **flags: Any,
) -> int:
    """Get the usage of a customer: GET /customers/usage (get_customers_usage)."""
    from pipelines import operations

    whose = _whose(flags)
    only = {"feature_ids": feature_ids, "feature_lookup_keys": feature_lookup_keys}
    return _print(operations.usage(load_settings(**flags), whose, **only, subscription_ids=subscription_ids))


@customers.command("entitlements")
@settings_options
@customer_option
@feature_ids_option
@subscription_ids_option
def entitlements(feature_ids: tuple[str, ...], subscription_ids: tuple[str, ...], **flags: Any) -> int:
    """Get the entitlements of a customer: GET /customers/{id}/entitlements (get_customers_id_entitlements)."""
    from pipelines import operations

    whose = _whose(flags)
    settings = load_settings(**flags)
    return _print(operations.entitlements(settings, whose, feature_ids=feature_ids, subscription_ids=subscription_ids))


@customers.command("grants")
@settings_options
@customer_option
def grants(**flags: Any) -> int:
    """Get the upcoming grants of a customer: GET /customers/{id}/grants/upcoming (get_customers_id_grants_upcoming)."""
    from pipelines import operations

    whose = _whose(flags)
    return _print(operations.grants(load_settings(**flags), whose))
