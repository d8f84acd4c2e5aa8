"""The two clients have one source: same operations, same signatures, same docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import lengths
import pytest
import twins

import connector
from connector.clients.keywords import (
    CustomerChanges,
    CustomerQuery,
    CustomerSearch,
    CustomerWalk,
    NewCustomer,
    SubscriptionWalk,
)
from connector.clients.keywords import SubscriptionQuery as Subscriptions

OPERATIONS = {
    "get_customers": "list_customers",
    "put_customers": "update_customer",
    "post_customers": "create_customer",
    "get_customers_external_external_id_": "get_customer_by_external_id",
    "post_customers_search": "search_customers",
    "get_customers_usage": "get_usage",
    "get_customers_id_": "get_customer",
    "delete_customers_id_": "delete_customer",
    "get_customers_id_entitlements": "get_entitlements",
    "get_customers_id_grants_upcoming": "get_upcoming_grants",
}
MORE = {"iter_customers", "iter_subscriptions", "search_subscriptions", "send"}
ON_ONE = ("get_customer", "update_customer", "delete_customer", "get_usage", "get_entitlements", "get_upcoming_grants")


def public(kind: type) -> dict[str, object]:
    """What a client offers beside its own opening and closing."""
    own = {"aclose", "close", "gate", "settings", "clock"}
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_") and name not in own}


def both(name: str) -> Iterator[object]:
    return (public(kind)[name] for kind in (connector.Flexprice, connector.AsyncFlexprice))


def test_both_clients_have_the_ten_operations_and_no_other_names() -> None:
    """Each operation of the reference has its method in both clients."""
    names = {*OPERATIONS.values(), *MORE}
    assert set(public(connector.Flexprice)) == names
    assert set(public(connector.AsyncFlexprice)) == names


def test_both_clients_are_opened_by_one_declaration() -> None:
    """The arguments of both, and what `help()` says about them, are declared in one place, by their names."""
    assert connector.Flexprice.__init__ is connector.AsyncFlexprice.__init__
    names = [*inspect.signature(connector.Flexprice).parameters]
    assert len(names) == 9
    text = inspect.getdoc(connector.Flexprice.__init__) or ""
    assert [name for name in names if f"\n    {name}: " not in text] == []


PUBLIC = [name for name in connector.__all__ if inspect.isclass(getattr(connector, name))]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_class_has_no_namesake(name: str) -> None:
    """Whoever searches the source for a public class finds one."""
    found = [path for path in lengths.sources() if re.search(rf"^class {name}\b", path.read_text("utf-8"), re.M)]
    assert len(found) == 1, found


@pytest.mark.parametrize("name", twins.NAMES)
def test_the_blocking_operations_are_written_from_the_async_ones(name: str) -> None:
    """The blocking module is what the generator makes of the async one, layout apart."""
    present = (twins.FOLDER / f"blocking_{name}.py").read_text(encoding="utf-8")
    assert twins.methods(present) == twins.methods(twins.twin(name)), "run: python tests/twins.py"


@pytest.mark.parametrize("name", sorted({*OPERATIONS.values(), *MORE}))
def test_both_clients_have_the_same_signature(name: str) -> None:
    """Names, order, kinds, defaults and types of all parameters agree."""
    one, other = (inspect.signature(method).parameters for method in both(name))  # type: ignore[arg-type]
    assert list(one.values()) == list(other.values())
    assert {"retries", "timeout"} <= set(one)


@pytest.mark.parametrize("name", ON_ONE)
def test_the_first_place_is_the_id(name: str) -> None:
    """In every method about one customer the id is first, and `external_id` a keyword; nothing else has a place."""
    parameters = list(inspect.signature(public(connector.Flexprice)[name]).parameters.values())  # type: ignore[arg-type]
    placed = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert placed == ["self", "customer_id"]
    assert "external_id" in [parameter.name for parameter in parameters]


@pytest.mark.parametrize(("operation", "name"), OPERATIONS.items())
def test_docstrings_tell_what_a_user_needs(operation: str, name: str) -> None:
    """Each names its operation, its arguments, its errors and an example, in both clients alike but for `await`."""
    blocking, asynchronous = (inspect.getdoc(method) or "" for method in both(name))
    for text in (blocking, asynchronous):
        assert f"`{operation}`" in text
        for part in ("Args:", "Raises:", "Example: ``", "contract.md"):
            assert part in text, (name, part)
    assert "await " not in blocking
    assert re.sub(r"[()]|await ", "", asynchronous) == re.sub(r"[()]", "", blocking)


KEYWORDS = (NewCustomer, CustomerChanges, CustomerQuery, CustomerSearch, CustomerWalk, Subscriptions, SubscriptionWalk)


@pytest.mark.parametrize("kind", KEYWORDS)
def test_help_names_every_keyword(kind: type) -> None:
    """`help()` and a notebook show the keywords behind `**` one by one, and the docstring lists them."""
    name = {"NewCustomer": "create_customer", "CustomerChanges": "update_customer", "CustomerQuery": "list_customers",
            "CustomerSearch": "search_customers", "CustomerWalk": "iter_customers",
            "SubscriptionQuery": "search_subscriptions",
            "SubscriptionWalk": "iter_subscriptions"}[kind.__name__]  # fmt: skip
    for method in both(name):
        assert set(kind.__annotations__) <= set(inspect.signature(method).parameters)  # type: ignore[arg-type]
        text = inspect.getdoc(method) or ""
        assert [keyword for keyword in kind.__annotations__ if not re.search(rf"\b{keyword}\b", text)] == []


def test_help_tells_the_limits_of_every_field() -> None:
    """`help()` of create and update says what each keyword means, with the limits of the field's declaration."""
    from connector.api.fields import FIELDS

    for name in ("create_customer", "update_customer"):
        for method in both(name):
            text = inspect.getdoc(method) or ""
            told = dict(re.findall(r"^    (\w+): (.*)$", text.partition("Keywords:")[2], re.M))
            for field in set(FIELDS) - {"external_id", "name", "address_country", "timezone"}:
                limit = f"at most {FIELDS[field].characters} characters"
                assert limit in told[field], field
                assert ("bytes" in told[field]) == bool(FIELDS[field].octets), field


def test_keywords_are_the_fields_of_a_customer() -> None:
    """A field that is added to customers is a keyword of create and update too."""
    from connector.api.fields import TEXTS

    fields = {*TEXTS, "metadata"}
    assert fields - {"external_id", "name"} <= set(NewCustomer.__annotations__)
    assert fields - {"external_id"} <= set(CustomerChanges.__annotations__)
