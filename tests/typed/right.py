"""A user's program over all that `import flexsync` offers; `tests/test_typed.py` checks and runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import flexsync
from flexsync import errors, models


def share(row: models.FeatureUsage) -> Decimal | None:
    return row.current_usage / row.total_limit if row.total_limit else None


def named(page: models.CustomerPage) -> dict[str, models.Customer]:
    return {customer.name: customer for customer in page.items}


def blocking(base_url: str) -> Iterator[str]:
    with flexsync.Flexprice(base_url=base_url, api_key="sandbox", allow_http=["127.0.0.1"]) as api:
        made = api.create_customer(external_id="typed-1", name="Typed", email="a@b.example", metadata={"tier": "gold"})
        yield api.get_customer(made.id, expand="integrations").external_id
        yield api.get_customer(external_id="typed-1", retries=2, timeout=10).id
        yield api.get_customer_by_external_id("typed-1").name
        yield api.update_customer(made.id, name="Typed 2", address_country="DE", timezone="Europe/Berlin").timezone
        yield api.update_customer(external_id="typed-1", contact="+49", new_external_id="typed-2").contact or ""
        page = api.list_customers(limit=5, order="asc", status="published")
        total: int = page.pagination.total
        yield str(len(named(page)))
        found = api.search_customers(sort=[{"field": "name", "direction": "asc"}], metadata={"tier": "gold"}, limit=10)
        yield f"{total} {[customer.created_at for customer in found.items]}"
        active = api.search_subscriptions(subscription_status=["active", "trialing"], limit=1).items[0]
        usage = api.get_usage(active.customer_id, feature_ids=[])
        used: Decimal = sum((row.current_usage for row in usage.features), Decimal(0))
        entitlements = api.get_entitlements(active.customer_id, subscription_ids=[active.id])
        limits: list[int | None] = [row.entitlement.usage_limit for row in entitlements.features]
        credits = [grant.credits for grant in api.get_upcoming_grants(active.customer_id).items]
        yield f"{used} {[share(row) for row in usage.features]} {limits} {credits}"
        yield f"{usage.to_arrow().num_rows} {len(usage.to_pandas())}"
        for customer in api.iter_customers(status="published", page_size=7):
            yield customer.name
        yield str(api.iter_customers(email="a@b.example").to_arrow().num_rows)
        trials: list[models.Subscription] = list(api.iter_subscriptions(subscription_status=["trialing"], page_size=9))
        yield f"{len(trials)} {[part.pagination.total for part in api.iter_subscriptions().pages()]}"
        for part in api.iter_customers().pages():
            yield str(len(part.items))
        api.delete_customer(external_id="typed-2")
        try:
            api.get_customer(external_id="typed-2")
        except errors.UnknownOutcome:
            raise
        except errors.NotFound as error:
            yield f"{error.status} {error.code} {error.remedy}"


async def asynchronous(base_url: str) -> list[str]:
    async with flexsync.AsyncFlexprice(base_url=base_url, api_key="sandbox") as api:
        made = await api.create_customer(external_id="typed-3", name="Typed", skip_onboarding_workflow=True)
        changed = await api.update_customer(made.id, metadata={"tier": "silver"})
        names = [customer.name async for customer in api.iter_customers(filters=[], page_size=9)]
        plans = {one.plan_id async for one in api.iter_subscriptions()}
        table = await api.iter_customers(status="archived").to_arrow()
        usage, grants = await asyncio.gather(
            api.get_usage(external_id="acct-0000001"), api.get_upcoming_grants(made.id)
        )
        await api.delete_customer(made.id)
        return [*names, *plans, changed.external_id, str(table.num_rows), usage.customer_id, str(len(grants.items))]


def tables(base_url: str, path: str) -> Iterator[str]:
    yield str(flexsync.read("customers", base_url=base_url, api_key="sandbox").read_all().num_rows)
    with flexsync.open(path) as copy:
        yield copy.run.status
        yield str(copy.df("SELECT count(*) AS n FROM customers")["n"][0])
        yield str(copy.table("customers").num_rows)
    settings = flexsync.load(base_url=base_url, api_key="sandbox")
    yield settings.api.base_url
    key = settings.require_key()
    more = flexsync.load(
        None, environ={}, base_url=base_url, api_key=key, timeout="30s", max_pause=timedelta(minutes=1),
        calls_per_second=50, max_calls=None, store=Path("copy.duckdb"), publish=["duckdb:copy.duckdb"],
        only=("customers",), publish_when="green", history_keep="all", mapping={"Company": "name"}, prune=False,
    )  # fmt: skip
    length: timedelta = more.flow.timeout
    yield f"{length} {more.sync.publish} {more.imports.mapping} {more.api.key}"
    rows: int = sum(batch.num_rows for batch in flexsync.read("usage", more))
    few = flexsync.read("subscriptions", config=None, base_url=base_url, api_key=key, max_in_flight=2)
    yield f"{rows} {few.schema.names} {few.read_all().num_rows}"


def main(path: str) -> None:
    with flexsync.Sandbox(customers=20, seed=7, faults=flexsync.Faults()).running() as base_url:
        for line in (*blocking(base_url), *asyncio.run(asynchronous(base_url)), *tables(base_url, path)):
            print(line)
