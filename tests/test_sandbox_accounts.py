"""Accounts of the sandbox with other shares of subscribed customers than the default one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sizes import sampled

from connector.errors import FixInput
from connector.sandbox import Clock, Faults, Sandbox

BASE = datetime(2026, 8, 1, tzinfo=UTC)


def account(customers: int, **given: Any) -> Sandbox:
    """An account whose clock stands."""
    return Sandbox(customers=customers, base_time=BASE, clock=Clock(BASE), **given)


def live(sandbox: Sandbox) -> Counter[str]:
    """How many entitling subscriptions each customer has, by the listing."""
    asked = {"limit": 1000, "subscription_status": ["active", "trialing"]}
    page = json.loads(sandbox.answer("POST", "/subscriptions/search", (), asked)[2])
    assert page["pagination"]["total"] == len(page["items"])
    return Counter(row["customer_id"] for row in page["items"] if row["subscription_type"] != "inherited")


@pytest.mark.parametrize(
    ("customers", "subscribed", "several"),
    [(300, 0.2, 0.5), (300, 0.9, 0.1), (7, 1, 1), (10, 0.5, 0), (10, 0, 1), (0, 1, 1), (300, 0.5625, 0.2)],
)
def test_so_many_customers_are_subscribed(customers: int, subscribed: float, several: float) -> None:
    """The shares are met to the nearest customer, and exactly those customers have usage and entitlements."""
    sandbox = account(customers, subscribed=subscribed, several=several)
    counts = live(sandbox)
    assert len(counts) == round(customers * subscribed)
    assert sum(count > 1 for count in counts.values()) == round(len(counts) * several)
    assert sorted(counts) == sandbox.active_customer_ids()
    assert len(sandbox.customer_ids()) + len(sandbox.customer_ids("archived")) == customers


@pytest.mark.parametrize("given", [{"subscribed": 0.3}, {"several": 0.6}])
def test_the_other_share_stays_usual(given: dict[str, float]) -> None:
    """With one share given, the other one is that of the default account."""
    counts = live(account(400, **given))
    assert len(counts) == round(400 * given.get("subscribed", 0.5625))
    assert sum(count > 1 for count in counts.values()) == round(len(counts) * given.get("several", 30 / 144))


def test_inherited_subscriptions_still_have_a_parent() -> None:
    """Children that are left point at a subscription of type parent, of the customer before them."""
    sandbox = account(600, subscribed=0.6, several=0.2)
    asked = {"limit": 1000, "subscription_status": ["active"]}
    rows = json.loads(sandbox.answer("POST", "/subscriptions/search", (), asked)[2])["items"]
    types = {row["id"]: row["subscription_type"] for row in rows}
    parents = [row["parent_subscription_id"] for row in rows if row["subscription_type"] == "inherited"]
    assert parents
    assert {types[parent] for parent in parents} == {"parent"}


def test_a_seed_gives_one_account_whatever_the_shares() -> None:
    """The same seed and shares give the same account, a replica of it too; other shares give another one."""

    def page(sandbox: Sandbox) -> bytes:
        return sandbox.answer("POST", "/subscriptions/search", (), {"limit": 100})[2]

    one, again, lagging = (
        account(50, subscribed=0.4, several=0.5, faults=faults) for faults in (Faults(), Faults(), Faults(lag=5))
    )
    assert page(one) == page(again) == page(lagging) != page(account(50))


def test_the_default_account_stays_as_it_was() -> None:
    """Without shares, every customer and subscription stays byte for byte the same, because the documents print them.

    Change the hash only when the account is meant to change, as with values for a new field, never for another reason.
    """
    sandbox, found = account(300), sha256()
    for status in ("published", "archived"):
        found.update(sandbox.answer("POST", "/customers/search", (), {"limit": 1000, "status": status})[2])
    asked = {
        "limit": 1000,
        "filters": [{"field": "subscription_status", "operator": "not_in", "value": {"array": ["x"]}}],
    }
    found.update(sandbox.answer("POST", "/subscriptions/search", (), asked)[2])
    for customer in sandbox.active_customer_ids():
        found.update(sandbox.answer("GET", f"/customers/{customer}/entitlements")[2])
        found.update(sandbox.answer("GET", f"/customers/{customer}/usage")[2])
        found.update(sandbox.answer("GET", f"/customers/{customer}/grants/upcoming")[2])
    assert found.hexdigest() == "6692924fcdbfd0f2deae03cc4030b026e52c4db5164cbecc0ff6c35dc9dc681f"


@pytest.mark.parametrize("given", [{"subscribed": 1.1}, {"several": -0.1}])
def test_other_numbers_than_shares_are_refused(given: dict[str, float]) -> None:
    """A share lies between 0 and 1."""
    with pytest.raises(FixInput, match=next(iter(given))):
        account(1, **given)


@pytest.mark.parametrize("module", ["pipelines.cli sandbox", sampled("connector.sandbox")])
def test_the_command_takes_shares(module: str) -> None:
    """`--subscribed` and `--several` reach the account that the command serves; no other numbers than shares do."""
    words = [sys.executable, "-m", *module.split(), "--port", "0", "--customers", "3", "--several", "1", "--subscribed"]
    with subprocess.Popen([*words, "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            asked = {"subscription_status": ["active", "trialing"]}
            url = f"{found[0]}/subscriptions/search"
            page = httpx.post(url, json=asked, headers={"x-api-key": "sandbox"}, trust_env=False).json()
        finally:
            process.terminate()
    assert sorted(Counter(row["customer_id"] for row in page["items"]).values())[0] >= 2
    done = subprocess.run([*words, "2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "subscribed" in done.stderr


def test_a_server_that_is_too_old_for_a_column_never_sends_it() -> None:
    """Customers that are created there have no such key, as in the recorded account."""
    sandbox = account(1)
    sandbox.account.unsent = frozenset({"timezone"})
    created = json.loads(sandbox.answer("POST", "/customers", (), {"external_id": "x", "name": "X"})[2])
    assert created["external_id"] == "x"
    assert "timezone" not in created
