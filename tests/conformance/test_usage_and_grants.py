"""Usage, entitlements, grants and the subscription sweep: contract.md 6, 7.1 and 11, fact by fact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Api

Json = dict[str, Any]
UP = [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]
STATUSES = ["active", "trialing", "paused", "cancelled", "incomplete", "draft"]


def usage(api: Api, customer_id: str, **more: Any) -> Json:
    answer = api("GET", "/customers/usage", params={"customer_id": customer_id, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def entitlements(api: Api, customer_id: str, **more: Any) -> Json:
    return api("GET", f"/customers/{customer_id}/entitlements", params=more).json()


def grants(api: Api, customer_id: str) -> Json:
    return api("GET", f"/customers/{customer_id}/grants/upcoming").json()


@pytest.fixture(scope="module")
def subscribed(api: Api) -> str:
    """A customer with a live subscription of its own."""
    for row in api.subscriptions(subscription_status=["active", "trialing"], limit=50):
        if row["subscription_type"] != "inherited" and usage(api, row["customer_id"])["features"]:
            return str(row["customer_id"])
    pytest.skip("the account has no live subscription")


@pytest.fixture(scope="module")
def doubly(api: Api) -> tuple[str, list[str]]:
    """A customer with two live subscriptions of its own, and their ids."""
    seen: dict[str, list[str]] = {}
    for row in api.live_subscriptions():
        if row["subscription_type"] != "inherited":
            seen.setdefault(row["customer_id"], []).append(row["id"])
    for customer_id, ids in seen.items():
        if len(ids) > 1:
            return customer_id, ids
    pytest.skip("nobody has two live subscriptions")


def test_nothing_without_a_subscription(api: Api) -> None:
    """A customer without subscriptions has empty usage, entitlements and grants."""
    made = api.create("unsubscribed")["id"]
    assert usage(api, made) == {"customer_id": made, "features": [], "period": None}
    assert entitlements(api, made) == {"customer_id": made, "subscriptions": [], "features": []}
    assert grants(api, made) == {"items": [], "pagination": {"total": 0, "limit": 0, "offset": 0}}


def test_entitlements_of_an_unknown_id_are_empty(api: Api) -> None:
    """The id is never checked: 200 with empty arrays."""
    answer = api("GET", "/customers/cust_none/entitlements")
    assert answer.status_code == 200
    assert answer.json() == {"customer_id": "cust_none", "subscriptions": [], "features": []}


def test_entitlements_of_an_unknown_external_id_are_404(api: Api) -> None:
    """By external id the customer must exist."""
    answer = api("GET", f"/customers/external/{api.prefix}-none/entitlements")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_grants_of_an_unknown_id_are_404(api: Api) -> None:
    """Upcoming grants check the id."""
    answer = api("GET", "/customers/cust_none/grants/upcoming")
    assert answer.status_code == 404
    assert answer.json()["details"] == {"customer_id": "cust_none"}


def test_usage_needs_an_identifier(api: Api) -> None:
    """Neither id nor lookup key is a 400; an unknown one a 404; two that differ a 400."""
    answer = api("GET", "/customers/usage")
    assert (answer.status_code, answer.json()["message"]) == (400, "Provide customer_id or customer_lookup_key")
    assert api("GET", "/customers/usage", params={"customer_id": "cust_none"}).status_code == 404
    one, two = api.create("usage-1"), api.create("usage-2")
    differ = {"customer_id": one["id"], "customer_lookup_key": two["external_id"]}
    assert api("GET", "/customers/usage", params=differ).status_code == 400


def test_usage_path_alias(api: Api, subscribed: str) -> None:
    """GET /customers/{id}/usage is the same as GET /customers/usage."""
    alias = api("GET", f"/customers/{subscribed}/usage").json()
    assert [f["feature"]["id"] for f in alias["features"]] == [
        f["feature"]["id"] for f in usage(api, subscribed)["features"]
    ]


def test_a_feature_has_its_habits(api: Api, subscribed: str) -> None:
    """Decimals are strings, limits are integers or null, unlimited goes with a null limit, the period is null."""
    body = usage(api, subscribed)
    assert body["period"] is None
    for feature in body["features"]:
        assert isinstance(feature["current_usage"], str)
        assert isinstance(feature["usage_percent"], str)
        assert feature["is_unlimited"] is (feature["total_limit"] is None)
        if feature["feature"]["type"] != "metered":
            assert (feature["total_limit"], feature["current_usage"]) == (None, "0")


def test_lookup_keys_that_match_nothing_remove_the_filter(api: Api, subscribed: str) -> None:
    """An unknown lookup key returns everything; an unknown feature id returns nothing."""
    everything = usage(api, subscribed)["features"]
    assert len(usage(api, subscribed, feature_lookup_keys="no,such")["features"]) == len(everything)
    assert usage(api, subscribed, feature_ids="feat_none")["features"] == []


def test_feature_filters_repeat(api: Api, subscribed: str) -> None:
    """Each repeated `feature_lookup_keys` adds one feature."""
    keys = [f["feature"]["lookup_key"] for f in usage(api, subscribed)["features"]][:2]
    found = usage(api, subscribed, feature_lookup_keys=keys)["features"]
    assert sorted(f["feature"]["lookup_key"] for f in found) == sorted(keys)


def test_usage_is_stamped_with_the_newest_subscription(api: Api, doubly: tuple[str, list[str]]) -> None:
    """Every source carries the newest subscription's id, and limits are summed over all."""
    customer_id, ids = doubly
    listed = [s["id"] for s in entitlements(api, customer_id)["subscriptions"]]
    assert sorted(listed) == sorted(ids)
    body = usage(api, customer_id)
    assert {s["subscription_id"] for f in body["features"] for s in f["sources"]} == {listed[0]}
    for feature in body["features"]:
        limits = [source.get("usage_limit") for source in feature["sources"]]
        if feature["feature"]["type"] == "metered":
            assert feature["total_limit"] == (None if None in limits else sum(limits))


def test_subscription_ids_give_each_its_own(api: Api, doubly: tuple[str, list[str]]) -> None:
    """Asked for one subscription, usage and entitlements are that one's own."""
    customer_id, ids = doubly
    for subscription_id in ids:
        body = usage(api, customer_id, subscription_ids=subscription_id)
        sources = [s for f in body["features"] for s in f["sources"]]
        assert {s["subscription_id"] for s in sources} <= {subscription_id}
        own = entitlements(api, customer_id, subscription_ids=subscription_id)
        assert [s["id"] for s in own["subscriptions"]] == [subscription_id]


def test_the_sweep_names_everybody_with_children(api: Api) -> None:
    """Customers with children are exactly those with a live subscription that is not inherited (up to 60 looked at)."""
    live: dict[str, bool] = {}
    for row in api.live_subscriptions():
        own = row["subscription_type"] != "inherited"
        live[row["customer_id"]] = live.get(row["customer_id"], False) or own
    rows = api.search(limit=60)["items"] + api.search(limit=20, status="archived")["items"]
    for row in rows:
        body = entitlements(api, row["id"])
        assert bool(body["subscriptions"]) is live.get(row["id"], False)
        assert bool(usage(api, row["id"])["features"]) is bool(body["features"])


def test_inherited_subscriptions_give_the_child_nothing(api: Api) -> None:
    """A child covered by its parent's subscription is in the sweep and has no children of its own."""
    condition = {"field": "subscription_type", "operator": "eq", "value": {"string": "inherited"}}
    found = api.subscriptions(subscription_status=["active"], filters=[condition], limit=1)
    if not found:
        pytest.skip("the account has no inherited subscription")
    assert found[0]["parent_subscription_id"]
    assert usage(api, found[0]["customer_id"])["features"] == []
    assert entitlements(api, found[0]["customer_id"])["subscriptions"] == []


def test_subscription_search_shows_active_ones_by_default(api: Api) -> None:
    """Without statuses the search is about `active` only."""
    assert {row["subscription_status"] for row in api.subscriptions(limit=100)} <= {"active"}


def test_subscription_search_takes_a_list_of_statuses(api: Api) -> None:
    """`subscription_status` is a list; all six together show everything."""
    everything = api.subscriptions(subscription_status=STATUSES, limit=1000)
    for status in STATUSES:
        some = api.subscriptions(subscription_status=[status], limit=1000)
        assert {row["subscription_status"] for row in some} <= {status}
        if len(everything) < 1000:
            assert len(some) == sum(row["subscription_status"] == status for row in everything)


def test_unknown_subscription_status_is_refused(api: Api) -> None:
    """An unknown status is a 400 that lists the known ones."""
    answer = api("POST", "/subscriptions/search", json={"subscription_status": ["nope"]})
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid subscription status")
    assert sorted(answer.json()["details"]["allowed_status"]) == sorted(STATUSES)


@pytest.mark.parametrize("way", ["subscription_ids", "filters"])
def test_subscriptions_by_id_in_every_status(api: Api, way: str) -> None:
    """Known ids can be asked for in every status, by key or by condition."""
    ids = [row["id"] for row in api.subscriptions(subscription_status=STATUSES, limit=5, sort=UP)]
    condition = {"field": "id", "operator": "in", "value": {"array": ids}}
    asked: Json = {"filters": [condition]} if way == "filters" else {"subscription_ids": ids}
    found = api.subscriptions(subscription_status=STATUSES, sort=UP, **asked)
    assert [row["id"] for row in found] == ids


def test_subscription_keyset_by_updated_at(api: Api) -> None:
    """A keyset walk of subscriptions by `updated_at` rises strictly page by page."""
    sort = [{"field": "updated_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]
    first = api.subscriptions(subscription_status=STATUSES, limit=3, sort=sort)
    if len(first) < 3:
        pytest.skip("the account has too few subscriptions")
    after = {"field": "updated_at", "operator": "after", "value": {"date": first[-1]["updated_at"]}}
    second = api.subscriptions(subscription_status=STATUSES, limit=3, sort=sort, filters=[after])
    assert not {row["id"] for row in first} & {row["id"] for row in second}


def test_grants_are_earliest_first(api: Api, subscribed: str) -> None:
    """Upcoming grants come by `scheduled_for`; `pagination` says total, 0, 0."""
    body = grants(api, subscribed)
    due = [item["scheduled_for"] for item in body["items"]]
    assert due == sorted(due)
    assert body["pagination"] == {"total": len(due), "limit": 0, "offset": 0}


@pytest.mark.parametrize(("method", "path"), [("GET", "/events"), ("POST", "/events/query")])
def test_events_come_by_the_page(api: Api, method: str, path: str) -> None:
    """A page of one event tells whether the analytics store answers; a key may also have no right to it."""
    answer = api(method, path, **({"params": {"page_size": 1}} if method == "GET" else {"json": {"page_size": 1}}))
    if answer.status_code in (403, 404):
        pytest.skip("this key or server has no events")
    assert answer.status_code == 200
    assert len(answer.json()["events"]) <= 1
    assert isinstance(answer.json()["has_more"], bool)
