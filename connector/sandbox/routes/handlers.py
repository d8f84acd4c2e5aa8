"""One method a route: what a call means, in terms of the account.

Promises that every refusal is raised as a `Refusal`. Never checks keys, counts calls, or knows a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from connector.sandbox.data.account import Account
from connector.sandbox.data.entitlements import entitlements_of
from connector.sandbox.data.events import MOST_EVENTS, events_of
from connector.sandbox.data.grants import grants_of
from connector.sandbox.data.sources import sources_of
from connector.sandbox.data.usage import usage_of
from connector.sandbox.replies import Json, Reply, json_reply, refuse
from connector.sandbox.routes.bodies import Params, query_object, read_object
from connector.sandbox.routes.filters import INVALID, Filter, bad, bind_body, bind_query, check_expand
from connector.sandbox.routes.listings import CustomerListing, SubscriptionListing, listed
from connector.sandbox.routes.routes import Route
from connector.sandbox.routes.writes import DIFFERENT, archive, create, no_such_id, no_such_key, update

__all__ = ["Call", "Handlers"]


class Interference(Protocol):
    """What may change how a call is carried out."""

    def edit_request(self, request: Filter, noun: str) -> None:
        """Called with every list request, once checked, and the noun of the list."""

    def loaded(self, subscriptions: list[int]) -> list[int]:
        """Those of a customer's subscriptions that an entitlements answer is made of."""


@dataclass(slots=True)
class Call:
    """A routed, admitted request; `user` goes into `created_by` and `updated_by`."""

    route: Route
    path: dict[str, str]
    query: Params
    body: bytes | None
    user: str

    def param(self, name: str) -> str | None:
        """The first value of a query parameter, if it is not empty."""
        return next((value for key, value in self.query if key == name and value), None)

    def params(self, name: str) -> list[str]:
        """Every value of a repeated parameter; commas are not split (contract.md 3.1)."""
        return [value for key, value in self.query if key == name]


class Handlers:
    """Answers routed calls from one account.

    Args:
        account: what is read and changed.
        chance: what the server leaves to chance is drawn from it.
        interference: gives what interferes at the moment.

    Attributes:
        before_count: called between the page and the total of every list answer.
    """

    def __init__(self, account: Account, chance: Random, interference: Callable[[], Interference]) -> None:
        self.account, self.chance, self.interference = account, chance, interference
        self.before_count: Callable[[], object] | None = None
        self.cached: dict[str, tuple[int, Json]] = {}

    def handle(self, call: Call) -> Reply:
        """The answer of a route: the method named like it.

        Raises:
            Refusal: with the server's error as its reply.
        """
        reply: Reply = getattr(self, f"_{call.route.name}")(call)
        return reply

    # -- customers and subscriptions -----------------------------------------------------------------------------------

    def _list_request(self, call: Call, noun: str) -> Filter:
        request = bind_body(call.body) if call.route.method == "POST" else bind_query(call.query, noun)
        self.interference().edit_request(request, noun)
        return request

    def _list(self, call: Call) -> Reply:
        request = self._list_request(call, "customers")
        return json_reply(listed(CustomerListing(self.account.read_side(), self.chance), request, self.before_count))

    _search = _list

    def _subscriptions(self, call: Call) -> Reply:
        account = self.account.read_side()
        request = self._list_request(call, "subscriptions")
        if "external_id" in call.path:
            request.equals["customer_id"] = account.customers.row(self._by_key(account, call.path["external_id"]))["id"]
        return json_reply(listed(SubscriptionListing(account, self.chance), request, self.before_count))

    def _get(self, call: Call) -> Reply:
        expand, customer_id = check_expand(call.query), call.path["id"]
        number = self.account.customers.find(customer_id)
        row = None if number is None else self.account.customer(number, expand)
        if self.account.cache_lifetime and not expand:
            row = self._kept(customer_id, row)
        return no_such_id(customer_id) if row is None else json_reply(row)

    def _kept(self, customer_id: str, row: Json | None) -> Json | None:
        """The copy of an earlier GET, while it lasts; API writes evict it, changes from outside do not."""
        now = self.account.now()
        until, kept = self.cached.get(customer_id, (0, row))
        if until <= now and row is not None:
            until, kept = self.cached[customer_id] = (now + self.account.cache_lifetime, row)
        return kept if until > now else None

    def _lookup(self, call: Call) -> Reply:
        expand = check_expand(call.query)
        account = self.account.read_side()
        return json_reply(account.customer(self._by_key(account, call.path["external_id"]), expand))

    def _create(self, call: Call) -> Reply:
        return create(self.account, call.body, call.user)

    def _update(self, call: Call) -> Reply:
        customer_id = call.path.get("id") or call.param("id")
        until, kept = self.cached.get(customer_id or "", (0, None))
        start = kept if until > self.account.now() else None
        reply = update(self.account, customer_id, call.param("external_customer_id"), call.body, call.user, start)
        self.cached.clear()
        return reply

    def _delete(self, call: Call) -> Reply:
        self.cached.pop(call.path["id"], None)
        return archive(self.account, call.path["id"], call.user)

    # -- what a customer has -------------------------------------------------------------------------------------------

    def _usage(self, call: Call) -> Reply:
        account = self.account.read_side()
        customer_id = self._usage_customer(account, call)
        features = call.params("feature_ids")
        keys = call.params("feature_lookup_keys")[:50]
        features += [account.catalog.by_key[key].id for key in keys if key in account.catalog.by_key]
        return json_reply(usage_of(account, customer_id, call.params("subscription_ids"), features))

    def _usage_customer(self, account: Account, call: Call) -> str:
        given = [value for value in (call.path.get("id"), call.param("customer_id")) if value]
        key = call.param("customer_lookup_key")
        if not given and not key:
            refuse("validation_error", "Provide customer_id or customer_lookup_key")
        numbers = {self._by_id(account, value) for value in given}
        if key:
            numbers.add(self._by_key(account, key))
        if len(numbers) > 1:
            refuse(
                "validation_error",
                DIFFERENT.replace("external_customer_id", "customer_lookup_key").replace(" id or", " customer_id or"),
            )
        return str(account.customers.row(numbers.pop())["id"])

    def _entitlements(self, call: Call) -> Reply:
        account = self.account.read_side()
        customer_id = call.path.get("id")
        if customer_id is None:
            customer_id = account.customers.row(self._by_key(account, call.path["external_id"]))["id"]
        rows = sources_of(account, customer_id, call.params("subscription_ids"))
        loaded = self.interference().loaded(rows)
        return json_reply(entitlements_of(account, customer_id, loaded, call.params("feature_ids")))

    def _events(self, call: Call) -> Reply:
        if call.route.method == "POST":
            reader = read_object(call.body, INVALID)
        else:
            reader = query_object(call.query, frozenset(), frozenset({"page_size"}), bad)
        return json_reply(events_of(self.account, reader.integer("page_size") or MOST_EVENTS))

    def _grants(self, call: Call) -> Reply:
        account = self.account.read_side()
        self._by_id(account, call.path["id"])
        return json_reply(grants_of(account, call.path["id"]))

    def _wallets(self, call: Call) -> Reply:
        """The account has no wallets; both routes answer a plain array (contract.md 7.1)."""
        if "id" in call.path:
            self._by_id(self.account, call.path["id"])
        return json_reply([])

    @staticmethod
    def _by_id(account: Account, customer_id: str) -> int:
        number = account.customers.find(customer_id)
        return no_such_id(customer_id) if number is None else number

    @staticmethod
    def _by_key(account: Account, external_id: str) -> int:
        number = account.published(external_id)
        return no_such_key(external_id) if number is None else number
