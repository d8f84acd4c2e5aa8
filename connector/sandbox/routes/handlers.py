"""One function a route: what a call means, in terms of the account.

Promises that every refusal is raised as a `Refusal`. Never checks keys, counts calls or delays.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from connector.sandbox.clock import SECOND
from connector.sandbox.data.account import Account
from connector.sandbox.data.usage import entitlements_of, grants_of, usage_of
from connector.sandbox.faults.faults import Faults, Trouble, poison
from connector.sandbox.replies import Json, Reply, json_reply, refuse
from connector.sandbox.routes.bodies import Params
from connector.sandbox.routes.filters import Filter, bind_body, bind_query, check_expand
from connector.sandbox.routes.listings import CustomerListing, SubscriptionListing, listed
from connector.sandbox.routes.routes import Route
from connector.sandbox.routes.writes import DIFFERENT, archive, create, missing, missing_key, update
from connector.sandbox.server.access import Key

__all__ = ["Call", "Handlers"]


@dataclass(slots=True)
class Call:
    """A routed, admitted request."""

    route: Route
    path: dict[str, str]
    query: Params
    body: bytes | None
    key: Key

    def param(self, name: str) -> str | None:
        """The first value of a query parameter, if it is not empty."""
        return next((value for key, value in self.query if key == name and value), None)

    def params(self, name: str) -> list[str]:
        """Every value of a repeated parameter; commas are not split (contract.md 3.1)."""
        return [value for key, value in self.query if key == name]


class Handlers:
    """The half of Sandbox that answers routes."""

    account: Account
    faults: Faults
    trouble: Trouble
    chance: Random
    cached: dict[str, tuple[int, Json]]
    calm: bool
    """Whether this call is spared the faults."""

    def now(self) -> int:
        """The server's time in microseconds."""
        raise NotImplementedError

    def handle(self, call: Call) -> Reply:
        """The answer of a route, by its name."""
        reply: Reply = getattr(self, f"_{call.route.name}")(call)
        return reply

    def _asked(self, call: Call, noun: str) -> Filter:
        asked = bind_body(call.body) if call.route.method == "POST" else bind_query(call.query, noun)
        old = self.faults.old
        if asked.conditions and "filters_refused" in old:
            code = "validation_error" if self.chance.random() < 5 / 6 else "database_error"
            refuse(code, f"Failed to list {noun}")
        if "filters_ignored" in old:
            asked.conditions = []
        return asked

    def _list(self, call: Call) -> Reply:
        asked = self._asked(call, "customers")
        old_default = "archived_included" in self.faults.old
        listing = CustomerListing(self.account.read_side(), self.chance, self.faults.loose_ties, old_default)
        return json_reply(listed(listing, asked))

    _search = _list

    def _subscriptions(self, call: Call) -> Reply:
        account = self.account.read_side()
        asked = self._asked(call, "subscriptions")
        if "external_id" in call.path:
            asked.equals["customer_id"] = account.customers.row(self._by_key(account, call.path["external_id"]))["id"]
        return json_reply(listed(SubscriptionListing(account, self.chance, self.faults.loose_ties), asked))

    def _get(self, call: Call) -> Reply:
        expand, customer_id = check_expand(call.query), call.path["id"]
        number = self.account.customers.find(customer_id)
        if number is None:
            missing(customer_id)
        row = self.account.customer(number, expand)
        if self.faults.cache and not expand:
            row = self._kept(customer_id, row)
        return json_reply(row)

    def _kept(self, customer_id: str, row: Json) -> Json:
        """The copy of an earlier GET, while it lasts; API writes evict it, changes from outside do not."""
        now = self.now()
        until, kept = self.cached.get(customer_id, (0, row))
        if until <= now:
            until, kept = self.cached[customer_id] = (now + int(self.faults.cache * SECOND), row)
        return kept

    def _lookup(self, call: Call) -> Reply:
        expand = check_expand(call.query)
        account = self.account.read_side()
        return json_reply(account.customer(self._by_key(account, call.path["external_id"]), expand))

    def _create(self, call: Call) -> Reply:
        return create(self.account, call.body, call.key.user)

    def _update(self, call: Call) -> Reply:
        customer_id = call.path.get("id") or call.param("id")
        until, kept = self.cached.get(customer_id or "", (0, None))
        start = kept if until > self.now() else None
        reply = update(self.account, customer_id, call.param("external_customer_id"), call.body, call.key.user, start)
        self.cached.clear()
        return reply

    def _delete(self, call: Call) -> Reply:
        self.cached.pop(call.path["id"], None)
        return archive(self.account, call.path["id"], call.key.user)

    def _usage(self, call: Call) -> Reply:
        account = self.account.read_side()
        customer_id = self._usage_customer(account, call)
        features = call.params("feature_ids")
        keys = call.params("feature_lookup_keys")[:50]
        features += [account.catalog.by_key[key].id for key in keys if key in account.catalog.by_key]
        zeros = not self.calm and self.trouble.hit(self.faults.zero_usage)
        body = usage_of(account, customer_id, call.params("subscription_ids"), features, zeros)
        reply = self._child(customer_id, body)
        reply.delay = self.faults.zero_usage_delay if zeros else 0.0
        return reply

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
        body = entitlements_of(account, customer_id, call.params("subscription_ids"), call.params("feature_ids"))
        if not self.calm and self.trouble.hit(self.faults.skip_entitlements):
            body["features"] = []
        return self._child(customer_id, body)

    def _child(self, customer_id: str, body: Json) -> Reply:
        if not self.calm and self.trouble.poisoned(customer_id):
            body = poison(body)
        return json_reply(body)

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
        return missing(customer_id) if number is None else number

    @staticmethod
    def _by_key(account: Account, external_id: str) -> int:
        number = account.published(external_id)
        return missing_key(external_id) if number is None else number
