"""Slips that a type checker has to find, one in each line that ends with `# wrong`; see `tests/test_typed.py`."""

from __future__ import annotations

import flexsync


def blocking(api: flexsync.Flexprice) -> None:
    api.update_customer("cust_1", emial="a@b.example")  # wrong
    api.update_customer(external_idd="acct-1", name="x")  # wrong
    api.update_customer("cust_1", metadata={"a": 1})  # wrong
    api.create_customer(external_id="acct-1")  # wrong
    api.create_customer("acct-1", name="x")  # wrong
    api.create_customer(external_id="acct-1", name="x", adress_city="y")  # wrong
    api.get_customer(7)  # wrong
    api.get_customer("cust_1", expand="integration")  # wrong
    api.get_customer(external_id="acct-1", retries="twice")  # wrong
    api.list_customers(limit="all")  # wrong
    api.list_customers(status="archvied")  # wrong
    api.search_customers(sort=[{"field": "name", "direction": "up"}])  # wrong
    api.iter_customers(offset=3)  # wrong
    api.search_subscriptions(subscription_status=["actve"])  # wrong
    api.iter_subscriptions(subscription_status=["actve"])  # wrong
    api.iter_subscriptions(offset=3)  # wrong
    api.get_usage("cust_1", feature_id="x")  # wrong
    print(api.get_customer("cust_1").nmae)  # wrong
    for customer in api.iter_customers():
        print(customer.externalid)  # wrong
    for one in api.iter_subscriptions():
        print(one.customerid)  # wrong
    flexsync.opne("copy.duckdb")  # wrong


def loading() -> None:
    flexsync.load(base_ulr="https://host.example/v1")  # wrong
    flexsync.load(max_in_flight="8")  # wrong
    flexsync.load(publish="duckdb:copy.duckdb")  # wrong
    flexsync.load(publish_when="sometimes")  # wrong
    flexsync.load(timeout=30)  # wrong
    print(flexsync.load().api.base_ulr)  # wrong
    flexsync.read("usage", api_kye="sandbox")  # wrong
    flexsync.read("usage", max_in_flight="8")  # wrong
    flexsync.read(flexsync.load())  # wrong
    flexsync.Flexprice(base_ulr="https://host.example/v1")  # wrong
    flexsync.AsyncFlexprice(api_key=7)  # wrong


async def asynchronous(api: flexsync.AsyncFlexprice) -> None:
    await api.update_customer("cust_1", emial="a@b.example")  # wrong
    await api.get_usage(customer="cust_1")  # wrong
    for customer in api.iter_customers():  # wrong
        print(customer)
