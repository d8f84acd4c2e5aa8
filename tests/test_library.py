"""The clients as a program uses them, against a sandbox: ids, keywords, earlier call forms, iterators, tables."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from importing import FULL

import connector
from connector import AsyncFlexprice, Faults, Flexprice, Sandbox
from connector.api import calls
from connector.api.fields import TEXTS
from connector.api.models import Customer
from connector.api.retries import Retry
from connector.errors import FixInput, NotFound, Refused, Unreachable

KEY = "sandbox"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(customers=30, seed=5)


@pytest.fixture(scope="module")
def base_url(sandbox: Sandbox) -> Iterator[str]:
    with sandbox.running() as url:
        yield url


@pytest.fixture(scope="module")
def api(base_url: str) -> Iterator[Flexprice]:
    with Flexprice(base_url=base_url, api_key=KEY) as client:
        yield client


@pytest.fixture(scope="module")
def subscriber(api: Flexprice) -> Customer:
    """A published customer with usage."""
    found = api.search_subscriptions(subscription_status=["active"], limit=50).items
    customers = [api.get_customer(row.customer_id) for row in found if row.subscription_type != "inherited"]
    return next(customer for customer in customers if customer.status == "published")


def made(sandbox: Sandbox, **fields: Any) -> dict[str, Any]:
    return dict(sandbox.create_customer(**fields))


# --- the first place is the id, external_id a keyword -----------------------------------------------------------


def test_every_operation_takes_the_id_first(api: Flexprice, sandbox: Sandbox, subscriber: Any) -> None:
    """Get, update, usage, entitlements, grants and delete take what `customer.id` holds."""
    id = made(sandbox, external_id="first-1", name="First")["id"]
    assert api.get_customer(id).name == "First"
    assert api.update_customer(id, name="Renamed").name == "Renamed"
    assert api.get_usage(subscriber.id).customer_id == subscriber.id
    assert api.get_entitlements(subscriber.id).features
    assert api.get_upcoming_grants(subscriber.id).pagination.limit == 0
    api.delete_customer(id)
    assert api.get_customer(id).status == "archived"


@pytest.mark.parametrize("external_id", ["own-1", "own/1 ü?&="])
def test_every_operation_takes_external_id(api: Flexprice, sandbox: Sandbox, external_id: str) -> None:
    """Each honours an id of the user's own, also one that no path can carry."""
    id = made(sandbox, external_id=external_id, name="Own")["id"]
    sandbox.add_subscription(id)
    assert api.get_customer(external_id=external_id).id == id
    assert api.get_customer_by_external_id(external_id).id == id
    assert api.update_customer(external_id=external_id, name="Owned").id == id
    assert api.get_usage(external_id=external_id).features == api.get_usage(id).features
    assert api.get_entitlements(external_id=external_id).features == api.get_entitlements(id).features
    assert api.get_upcoming_grants(external_id=external_id).items == api.get_upcoming_grants(id).items
    other = made(sandbox, external_id=f"{external_id}/2", name="Free")["id"]
    api.delete_customer(external_id=f"{external_id}/2")
    assert api.get_customer(other).status == "archived"


ON_ONE = ("get_customer", "update_customer", "delete_customer", "get_usage", "get_entitlements", "get_upcoming_grants")


@pytest.mark.parametrize("name", ON_ONE)
def test_both_ids_or_neither_is_a_type_error(api: Flexprice, base_url: str, name: str) -> None:
    """It is refused before any call, in both clients, and when the method is called, not when it is awaited."""
    asynchronous = AsyncFlexprice(base_url=base_url, api_key=KEY)
    for client in (api, asynchronous):
        for args, given in (((), {}), (("cust_1",), {"external_id": "a"}), ((None,), {"external_id": None})):
            with pytest.raises(TypeError, match="customer_id or external_id"):
                getattr(client, name)(*args, **given)
        with pytest.raises(TypeError, match=r"customer\.id"):
            getattr(client, name)({"id": "cust_1"} if name != "update_customer" else 7)
        with pytest.raises(FixInput, match="empty"):
            getattr(client, name)("")
    asyncio.run(asynchronous.aclose())


@pytest.mark.parametrize("name", ON_ONE)
def test_an_own_id_in_the_first_place_is_recognised(api: Flexprice, name: str) -> None:
    """A 404, and the empty answer that stands for one, says how an id of the user's own is written."""
    with pytest.raises(NotFound, match="If this is your own id, write external_id='acct-0000003'"):
        getattr(api, name)("acct-0000003")
    with pytest.raises(NotFound) as caught:
        getattr(api, name)(external_id="nobody")
    assert "own id" not in str(caught.value)
    with pytest.raises(NotFound, match="without external_id="):
        getattr(api, name)(external_id="cust_01KBFZ00000000000000000000")


def test_an_unknown_id_of_the_server_gets_no_hint(api: Flexprice) -> None:
    """What looks like the server's id is taken for one; entitlements of it are empty, as the server says."""
    unknown = "cust_01KBFZ00000000000000000000"
    with pytest.raises(NotFound) as caught:
        api.get_usage(unknown)
    assert "external_id" not in str(caught.value)
    assert api.get_entitlements(unknown).features == ()


# --- keywords ------------------------------------------------------------------------------------------------------

MISSPELT: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("update_customer", ("cust_1",), {"emial": "a@b.example"}, "email"),
    ("update_customer", ("cust_1",), {"metdata": {}}, "metadata"),
    ("update_customer", (), {"external_idd": "a", "name": "x"}, "external_id"),
    ("create_customer", (), {"external_id": "a", "name": "b", "adress_city": "c"}, "address_city"),
    ("create_customer", ({"external_id": "a", "name": "b", "emial": "c"},), {}, "email"),
    ("get_customer", ("cust_1",), {"expnd": "integrations"}, "expand"),
    ("get_usage", ("cust_1",), {"feature_id": "x"}, "feature_ids"),
    ("get_entitlements", ("cust_1",), {"subscription_id": "x"}, "subscription_ids"),
    ("get_upcoming_grants", ("cust_1",), {"retrys": 1}, "retries"),
    ("list_customers", (), {"limt": 1}, "limit"),
    ("search_customers", (), {"fitlers": []}, "filters"),
    ("iter_customers", (), {"statuss": "archived"}, "status"),
    ("search_subscriptions", (), {"subscription_statuses": ["active"]}, "subscription_status"),
    ("iter_subscriptions", (), {"custmer_id": "cust_1"}, "customer_id"),
]


@pytest.mark.parametrize(("name", "args", "given", "meant"), MISSPELT)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_misspelt_keyword_is_a_type_error(
    api: Flexprice, name: str, args: tuple[Any, ...], given: dict[str, Any], meant: str
) -> None:
    """It is never a silent no-op: the nearest keyword is named, and nothing is sent."""
    before = api.gate.report()["calls"]
    with pytest.raises(TypeError, match=f"Did you mean '{meant}'"):
        getattr(api, name)(*args, **given)
    assert api.gate.report()["calls"] == before


def test_a_create_needs_its_two_identifiers_by_keyword(api: Flexprice) -> None:
    """An external_id has no place: it would be mistaken for the id."""
    with pytest.raises(TypeError, match="name"):
        api.create_customer(external_id="a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        api.create_customer("a", name="b")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("search_customers", {"status": "archvied"}),
        ("list_customers", {"order": "up"}),
        ("search_subscriptions", {"subscription_status": ["active", "actve"]}),
        ("search_subscriptions", {"subscription_ids": []}),
        ("iter_customers", {"customer_ids": ()}),
        ("iter_subscriptions", {"subscription_status": ["actve"]}),
        ("list_customers", {"external_ids": []}),
        ("get_customer", {"customer_id": "cust_1", "retries": -1}),
        ("get_customer", {"customer_id": "cust_1", "timeout": 0}),
    ],
)
def test_a_value_that_means_nothing_is_refused(api: Flexprice, name: str, given: dict[str, Any]) -> None:
    """The server would answer it with an empty page, or with everybody, or the client with its default."""
    with pytest.raises(FixInput):
        getattr(api, name)(**given)


def test_none_leaves_a_field_as_it_is(api: Flexprice, sandbox: Sandbox) -> None:
    """None is "not given"; an empty text clears what can be cleared; metadata is replaced as a whole."""
    id = made(sandbox, external_id="none-1", name="None", contact="+1", email="a@b.example", metadata={"a": "b"})["id"]
    changed = api.update_customer(id, name=None, email=None, contact="", metadata={"c": "d"})
    assert (changed.name, changed.email, changed.contact, changed.metadata) == ("None", "a@b.example", "", {"c": "d"})
    assert api.update_customer(id, new_external_id="none-2").external_id == "none-2"


def test_a_create_takes_every_field(api: Flexprice) -> None:
    """All fields arrive."""
    given: dict[str, Any] = {"external_id": "all-1", **FULL, "metadata": {"a": "b"}}
    assert set(given) == {*TEXTS, "metadata"}
    found = api.create_customer(**given, skip_onboarding_workflow=True)
    assert {name: getattr(found, name) for name in given} == given


# --- earlier call forms --------------------------------------------------------------------------------------------


def earlier(call: Callable[[], Any], said: str) -> Any:
    """Make a call in an earlier form; it has to warn at this line, and to work."""
    with pytest.warns(DeprecationWarning, match=said) as caught:
        found = call()
    assert [warning.filename for warning in caught if warning.category is DeprecationWarning] == [__file__]
    return found


def test_earlier_call_forms_work_and_warn(api: Flexprice, sandbox: Sandbox, subscriber: Any) -> None:
    """Dictionaries in the first place, and the keywords that were renamed, still do what they did."""
    body = {"external_id": "old-1", "name": "Old"}
    id = earlier(lambda: api.create_customer(body), "as keywords").id  # type: ignore[call-arg, arg-type]
    assert earlier(lambda: api.get_customer(id=id), "customer_id=").name == "Old"  # type: ignore[call-arg]
    renamed = earlier(lambda: api.update_customer(external_customer_id="old-1", name="New"), "external_id=")  # type: ignore[call-arg]
    assert renamed.name == "New"
    usage = earlier(lambda: api.get_usage(customer_lookup_key=subscriber.external_id), "external_id=")  # type: ignore[call-arg]
    assert usage.customer_id == subscriber.id
    found = earlier(lambda: api.search_customers({"external_ids": ["old-1"]}), "as keywords")  # type: ignore[call-arg]
    assert [customer.id for customer in found.items] == [id]
    earlier(lambda: api.get_customer(id, retry=Retry(1)), "retries=")  # type: ignore[call-arg]
    earlier(lambda: api.send(calls.get_customer(id), retry=Retry(1)), "retries=")  # type: ignore[call-arg]


@pytest.mark.filterwarnings("ignore:.*id=:DeprecationWarning")
def test_an_earlier_update_with_a_body_changes_the_external_id(api: Flexprice, sandbox: Sandbox) -> None:
    """In a body `external_id` is the new one, as it was."""
    id = made(sandbox, external_id="body-1", name="Body", metadata={})["id"]
    with pytest.warns(DeprecationWarning, match="as keywords"):
        changed = api.update_customer({"external_id": "body-2"}, id=id, name="B")  # type: ignore[arg-type, call-arg]
    assert (changed.external_id, changed.name) == ("body-2", "B")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_ambiguous_earlier_form_is_refused(api: Flexprice) -> None:
    """`update_customer(id=…, external_id=…)` meant a new external_id; now `external_id` names the customer."""
    for given in ({"id": "cust_1", "external_id": "b"}, {"external_customer_id": "a", "external_id": "b"}):
        with pytest.raises(TypeError, match="new_external_id= changes it"):
            api.update_customer(**given)  # type: ignore[arg-type]


# --- per call ------------------------------------------------------------------------------------------------------


def test_retries_count_the_attempts_after_the_first() -> None:
    """retries=0 is one attempt, retries=1 two; the settings' number holds without it."""
    failing = Sandbox(customers=3, seed=5, faults=Faults(error_rate=1.0))
    with failing.running() as url, Flexprice(base_url=url, api_key=KEY) as client:
        with pytest.raises(Unreachable):
            client.list_customers(limit=1, retries=0)
        assert sum(failing.calls.values()) == 1


# --- iterators -----------------------------------------------------------------------------------------------------


def test_all_customers_are_walked_by_a_keyset(api: Flexprice, sandbox: Sandbox) -> None:
    """Each customer comes once, oldest first, whatever the page size, and also where many share one microsecond."""
    for _ in range(7):
        made(sandbox, created_at="2026-07-01T00:00:00Z", updated_at="2026-07-01T00:00:00Z")
    wanted = sorted(sandbox.customer_ids("published"))
    for size in (1000, 10, 3):
        found = list(api.iter_customers(page_size=size))
        assert sorted(customer.id for customer in found) == wanted
        assert [c.created_at for c in found] == sorted(c.created_at for c in found if c.created_at)


def test_a_walk_loses_and_repeats_nothing_while_customers_come_and_change() -> None:
    """Between its pages others are created, edited and archived: who was there from the first to the last, comes."""
    sandbox = Sandbox(customers=20, seed=9)
    stay = set(sandbox.customer_ids("published"))
    with sandbox.running() as url, Flexprice(base_url=url, api_key=KEY) as client:
        seen: list[str] = []
        for number, customer in enumerate(client.iter_customers(page_size=4)):
            seen.append(customer.id)
            if number % 4 == 1:
                made(sandbox, name=f"New {number}")
                sandbox.update_customer(sorted(stay)[number % len(stay)], name=f"Edit {number}")
    assert stay <= set(seen)
    assert max(Counter(seen).values()) == 1


def test_a_walk_takes_filters(api: Flexprice, sandbox: Sandbox) -> None:
    """The caller's conditions hold on every page, beside those of the walk."""
    kept = [made(sandbox, name=f"Walk {number}", metadata={"walk": "yes"})["id"] for number in range(5)]
    gone = made(sandbox, name="Walk gone", metadata={"walk": "yes"})["id"]
    sandbox.archive_customer(gone)
    named = {"field": "name", "operator": "contains", "value": {"string": "walk"}}
    assert {customer.id for customer in api.iter_customers(filters=[named], page_size=2)} == set(kept)
    assert {customer.id for customer in api.iter_customers(metadata={"walk": "yes"}, page_size=2)} == set(kept)
    archived = api.iter_customers(status="archived", metadata={"walk": "yes"})
    assert [customer.id for customer in archived] == [gone]


def test_the_async_walk_is_the_same(base_url: str, sandbox: Sandbox) -> None:
    """`async for` gives what the blocking walk gives; the operations are awaited."""

    async def main() -> list[str]:
        async with AsyncFlexprice(base_url=base_url, api_key=KEY) as client:
            found = [customer.id async for customer in client.iter_customers(page_size=7)]
            assert (await client.get_customer(found[0])).id == found[0]
            first = client.iter_customers(page_size=7)
            assert (await anext(first)).id == found[0]
            assert [customer.id async for customer in first] == found[1:]
            table = await client.iter_customers(page_size=7).to_arrow()
            assert table.column("id").to_pylist() == found
            assert len(await client.iter_customers().to_pandas()) == len(found)
            return found

    assert sorted(asyncio.run(main())) == sorted(sandbox.customer_ids("published"))


def test_a_walk_is_walked_once(api: Flexprice) -> None:
    """Tables and pages hold all customers, so they are refused once one has come; going on is fine."""
    walk = api.iter_customers(page_size=5)
    first = next(walk)
    for read in (walk.to_arrow, walk.to_pandas, lambda: next(walk.pages())):
        with pytest.raises(FixInput, match="begun"):
            read()
    assert first.id not in [customer.id for customer in walk]
    assert list(walk) == []
    pages = api.iter_customers(page_size=5)
    assert sum(len(page.items) for page in pages.pages()) == api.iter_customers().to_arrow().num_rows
    with pytest.raises(FixInput, match="begun"):
        next(pages)


def test_a_walk_that_is_left_is_closed(base_url: str) -> None:
    """`break` in the middle of a walk leaves no warning behind, in both clients."""

    async def main() -> None:
        async with AsyncFlexprice(base_url=base_url, api_key=KEY) as client:
            async for _ in client.iter_customers(page_size=3):
                break

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Flexprice(base_url=base_url, api_key=KEY) as client:
            for _ in client.iter_customers(page_size=3):
                break
            next(client.iter_customers())
        asyncio.run(main())
        del client
        gc.collect()


@pytest.mark.parametrize(("walk", "instead"), [("customers", "list_cust"), ("subscriptions", "search_subs")])
def test_a_server_that_ignores_filters_is_named(walk: str, instead: str) -> None:
    """It is refused with an error of ours, instead of walking for ever."""
    old = Sandbox(customers=12, seed=5, faults=Faults(old=frozenset({"filters_ignored"})))
    with (
        old.running() as url,
        Flexprice(base_url=url, api_key=KEY) as client,
        pytest.raises(Refused, match=instead),
    ):
        list(getattr(client, f"iter_{walk}")(page_size=3))


def test_subscriptions_are_walked_as_customers_are(api: Flexprice, base_url: str, sandbox: Sandbox) -> None:
    """Each comes once, of every status that was asked for, in both clients; tables are those of a sync."""
    every = ["active", "trialing", "cancelled", "paused", "incomplete", "draft"]
    wanted = api.search_subscriptions(subscription_status=every, limit=1000)  # type: ignore[typeddict-item]
    walk = api.iter_subscriptions(subscription_status=every, page_size=4)  # type: ignore[typeddict-item]
    found = [row.id for row in walk]
    assert sorted(found) == sorted(row.id for row in wanted.items)
    assert {row.subscription_status for row in api.iter_subscriptions()} == {"active"}
    owner = wanted.items[0].customer_id
    own = api.iter_subscriptions(customer_id=owner, subscription_status=every)  # type: ignore[typeddict-item]
    assert {row.customer_id for row in own} == {owner}
    table = api.iter_subscriptions(subscription_status=every).to_arrow()  # type: ignore[typeddict-item]
    assert rows(table) == rows(connector.read("subscriptions", base_url=base_url, api_key=KEY).read_all())

    async def main() -> list[str]:
        async with AsyncFlexprice(base_url=base_url, api_key=KEY) as client:
            return [row.id async for row in client.iter_subscriptions(subscription_status=every, page_size=4)]  # type: ignore[typeddict-item]

    assert asyncio.run(main()) == found


# --- tables --------------------------------------------------------------------------------------------------------


def rows(table: Any, *left_out: str) -> list[dict[str, Any]]:
    found = [{k: v for k, v in row.items() if k not in ("observed_at", *left_out)} for row in table.to_pylist()]
    return sorted(found, key=repr)


def test_pages_and_walks_are_the_table_of_a_sync(api: Flexprice, base_url: str) -> None:
    """`to_arrow` gives the rows and the schema that `connector.read` streams."""
    read = connector.read("customers", base_url=base_url, api_key=KEY).read_all()
    wanted = [row for row in rows(read) if row["status"] == "published"]
    page = api.search_customers(limit=1000, status="published", expand="integrations")
    walk = api.iter_customers(expand="integrations", page_size=8).to_arrow()
    parts = [part.to_arrow() for part in api.iter_customers(expand="integrations", page_size=8).pages()]
    assert rows(page.to_arrow()) == rows(walk) == rows(pa.concat_tables(parts)) == wanted
    assert page.to_arrow().schema == walk.schema == read.schema
    links = connector.read("customer_integrations", base_url=base_url, api_key=KEY).read_all()
    held = set(page.to_arrow().column("id").to_pylist())
    assert rows(page.to_arrow("customer_integrations")) == [row for row in rows(links) if row["entity_id"] in held]


def test_answers_are_the_tables_of_a_sync(api: Flexprice, base_url: str, subscriber: Any) -> None:
    """Usage, entitlements, grants and subscriptions as well, by either id."""
    for given in ((subscriber.id, None), (None, subscriber.external_id)):
        results = [
            method(given[0], external_id=given[1])
            for method in (api.get_usage, api.get_entitlements, api.get_upcoming_grants)
        ]
        results.append(api.search_subscriptions(customer_id=subscriber.id, subscription_status=["active", "trialing"]))
        for result in results:
            for name in set(result.tables) - {"features"}:
                mine = result.to_arrow(name)
                read = connector.read(name, base_url=base_url, api_key=KEY).read_all()
                wanted = [row for row in rows(read, "current_period_start") if row["customer_id"] == subscriber.id]
                if name != "subscriptions":
                    assert rows(mine, "current_period_start", "subscription_id" if name == "usage" else "") == [
                        {k: v for k, v in row.items() if name != "usage" or k != "subscription_id"} for row in wanted
                    ]
                assert mine.schema == read.schema
        assert results[0].to_arrow("features").num_rows == len(results[0].features)


def test_a_table_is_asked_for_by_name(api: Flexprice, subscriber: Any) -> None:
    """A name that the result does not have is refused; DataFrames keep decimals exact; a copy has no rows to give."""
    import copy

    usage = api.get_usage(subscriber.id)
    with pytest.raises(FixInput, match="usage_sources"):
        usage.to_arrow("customers")
    frame = usage.to_pandas()
    assert list(frame["current_usage"]) == [row.current_usage for row in usage.features]
    with pytest.raises(FixInput, match="copied"):
        copy.replace(usage).to_arrow() if hasattr(copy, "replace") else type(usage)(customer_id="a").to_arrow()


# --- closing -------------------------------------------------------------------------------------------------------


def test_a_client_that_is_left_open_warns(base_url: str) -> None:
    """One ResourceWarning each, that names the way out; the blocking client's thread ends all the same."""

    def leave_open() -> Any:
        client = Flexprice(base_url=base_url, api_key=KEY)
        client.list_customers(limit=1)
        thread = client._thread
        del client
        gc.collect()
        return thread

    with pytest.warns(ResourceWarning, match="use `with`, or `close`") as caught:
        thread = leave_open()
    assert len([one for one in caught if "unclosed" in str(one.message) and "Flexprice" in str(one.message)]) == 1
    thread.join(10)
    assert not thread.is_alive()

    def leave_async_open() -> None:
        AsyncFlexprice(base_url=base_url, api_key=KEY)
        gc.collect()

    with pytest.warns(ResourceWarning, match="`async with`, or `aclose`"):
        leave_async_open()


def test_a_closed_client_is_silent(base_url: str) -> None:
    """`with`, `async with`, `close` and a client that was refused leave nothing to warn of."""

    async def main() -> None:
        async with AsyncFlexprice(base_url=base_url, api_key=KEY):
            pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Flexprice(base_url=base_url, api_key=KEY) as client:
            client.list_customers(limit=1)
        client.close()
        asyncio.run(main())
        with pytest.raises(FixInput):
            Flexprice(base_url="http://host.example/v1", api_key=KEY)
        del client
        gc.collect()
