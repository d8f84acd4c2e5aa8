"""`flexsync customers …`: the ten customer operations, one call each.

Promised: stdout holds the server's JSON as it came, indented; nothing is printed when the response has no body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from connector.errors import FixInput
from pipelines.cli.bodies import (
    body_option,
    customer_body,
    customer_options,
    listing_options,
    listing_query,
    search_body,
)
from pipelines.cli.exit_codes import DONE
from pipelines.cli.help import Group
from pipelines.cli.options import load_settings, settings_options

if TYPE_CHECKING:
    from connector.api.calls import Call

__all__ = ["customers"]

feature_ids_option = click.option("--feature-ids", multiple=True, help="Only these features, by id. Repeatable.")
subscription_ids_option = click.option(
    "--subscription-ids", multiple=True, help="Only these subscriptions, by id. Repeatable."
)


@click.group(cls=Group)
def customers() -> None:
    """Call one of the ten customer operations, and print the server's JSON."""


def _send(call: Call, flags: dict[str, Any]) -> int:
    """Make one call and print the body of its response."""
    from pipelines import operations

    body = operations.send(call, load_settings(**flags))
    if body:
        click.echo(body)
    return DONE


@customers.command("list")
@settings_options
@listing_options
@click.option("--order", type=click.Choice(["asc", "desc"]), help="Order by created_at.")
def list_customers(order: str | None, **flags: Any) -> int:
    """List customers: GET /customers (get_customers)."""
    from connector.api import calls

    query = listing_query(flags)
    return _send(calls.list_customers(**query, order=order), flags)


@customers.command("search")
@settings_options
@listing_options
@click.option("--sort", multiple=True, metavar="FIELD[:asc|desc]", help="Field to sort by. Repeatable.")
@click.option("--filter", "filters", multiple=True, metavar="JSON", help="One filter condition. Repeatable.")
@body_option
def search(sort: tuple[str, ...], filters: tuple[str, ...], body: str | None, **flags: Any) -> int:
    """Search customers: POST /customers/search (post_customers_search)."""
    from connector.api import calls

    query = listing_query(flags)
    return _send(calls.search_customers(search_body(body, query, sort, filters)), flags)


@customers.command("get")
@settings_options
@click.argument("id", required=False)
@click.option("--external-id", help="Instead of ID.")
@click.option("--expand", type=click.Choice(["integrations"]), help="Include the customer's integrations.")
def get(id: str | None, external_id: str | None, expand: str | None, **flags: Any) -> int:
    """Get a customer: GET /customers/{id} (get_customers_id_).

    With --external-id: GET /customers/external/{external_id} (get_customers_external_external_id_).
    """
    from pipelines import operations

    if bool(id) == bool(external_id):
        raise FixInput("give either ID or --external-id.", remedy="flexsync customers get cust_…")
    click.echo(operations.get(load_settings(**flags), id=id, external_id=external_id, expand=expand))
    return DONE


@customers.command("create")
@settings_options
@customer_options
@click.option("--external-id", help="External id of the new customer.")
@click.option("--skip-onboarding-workflow", is_flag=True, help="Do not start the account's onboarding workflow.")
def create(external_id: str | None, skip_onboarding_workflow: bool, **flags: Any) -> int:
    """Create a customer: POST /customers (post_customers)."""
    from connector.api import calls

    body = customer_body(flags)
    if external_id is not None:
        body["external_id"] = external_id
    if skip_onboarding_workflow:
        body["skip_onboarding_workflow"] = True
    return _send(calls.create_customer(body), flags)


@customers.command("update")
@settings_options
@customer_options
@click.argument("id", required=False)
@click.option("--external-id", help="Instead of ID.")
@click.option("--new-external-id", help="New external id of the customer.")
def update(id: str | None, external_id: str | None, new_external_id: str | None, **flags: Any) -> int:
    """Update a customer: PUT /customers (put_customers). Metadata is replaced as a whole."""
    from connector.api import calls

    body = customer_body(flags)
    if new_external_id is not None:
        body["external_id"] = new_external_id
    return _send(calls.update_customer(body, id=id, external_customer_id=external_id), flags)


@customers.command("delete")
@settings_options
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def delete(id: str, yes: bool, **flags: Any) -> int:
    """Archive a customer: DELETE /customers/{id} (delete_customers_id_). The API cannot undo it."""
    from connector.api import calls

    if not yes:
        click.confirm(f"Archive {id}? The API cannot undo it.", abort=True, err=True)
    return _send(calls.delete_customer(id), flags)


@customers.command("usage")
@settings_options
@click.argument("id", required=False)
@click.option("--external-id", help="Instead of ID.")
@feature_ids_option
@click.option("--feature-lookup-keys", multiple=True, help="Only these features, by lookup key. Repeatable.")
@subscription_ids_option
def usage(
    id: str | None,
    external_id: str | None,
    feature_ids: tuple[str, ...],
    feature_lookup_keys: tuple[str, ...],
    subscription_ids: tuple[str, ...],
    **flags: Any,
) -> int:
    """Get the usage of a customer: GET /customers/usage (get_customers_usage)."""
    from connector.api import calls

    call = calls.get_usage(
        id,
        customer_lookup_key=external_id,
        feature_ids=feature_ids,
        feature_lookup_keys=feature_lookup_keys,
        subscription_ids=subscription_ids,
    )
    return _send(call, flags)


@customers.command("entitlements")
@settings_options
@click.argument("id")
@feature_ids_option
@subscription_ids_option
def entitlements(id: str, feature_ids: tuple[str, ...], subscription_ids: tuple[str, ...], **flags: Any) -> int:
    """Get the entitlements of a customer: GET /customers/{id}/entitlements (get_customers_id_entitlements)."""
    from connector.api import calls

    return _send(calls.get_entitlements(id, feature_ids=feature_ids, subscription_ids=subscription_ids), flags)


@customers.command("grants")
@settings_options
@click.argument("id")
def grants(id: str, **flags: Any) -> int:
    """Get the upcoming grants of a customer: GET /customers/{id}/grants/upcoming (get_customers_id_grants_upcoming)."""
    from connector.api import calls

    return _send(calls.get_upcoming_grants(id), flags)
