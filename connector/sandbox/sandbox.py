"""The server without sockets: a request in, a status, headers and bytes out.

Promises to behave as contract.md says for every customer route and the subscription search, and to answer the same
for the same seed, clock and calls. Never reaches the network, and never sleeps: delays are only told to
`server.py`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from threading import RLock

import msgspec

from connector.sandbox import faults as trouble
from connector.sandbox.access import KEYS, Key, admit
from connector.sandbox.account import Account
from connector.sandbox.answers import FIXED_HEADERS, Json, Refusal, Reply, json_reply, page_not_found, refuse
from connector.sandbox.bodies import Params
from connector.sandbox.clock import DAY, SECOND, Clock, http_date, micros
from connector.sandbox.faults import Faults
from connector.sandbox.filters import Filter, bind_body, bind_query, check_expand
from connector.sandbox.ids import mix, ulid
from connector.sandbox.listings import CustomerListing, SubscriptionListing, listed
from connector.sandbox.mutators import Mutators
from connector.sandbox.routes import Route, find, redirect_target
from connector.sandbox.usage import entitlements_of, grants_of, usage_of
from connector.sandbox.writes import DIFFERENT, archive, create, missing, missing_key, update

__all__ = ["BASE_PATH", "Sandbox"]

BASE_PATH = "/v1"
Answer = tuple[int, dict[str, str], bytes]


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


class Sandbox(Mutators):
    """A FlexPrice account with invented customers.

    Args:
        customers: how many exist at the start; they are computed when they are looked at.
        seed: what the invented data and all random choices come from.
        faults: what goes wrong.
        base_time: the moment up to which the invented business ran; the clock's day by default.
        clock: what the server thinks the time is (a `Clock`, or anything that returns an aware datetime).
        ties: how many customers in a row share one `created_at` and `updated_at`.
        keys: more API keys, by their text.
    """

    def __init__(
        self, customers: int = 2000, seed: int = 7, faults: Faults | None = None, base_time: datetime | None = None,
        clock: Callable[[], datetime] | None = None, *, ties: int = 0, keys: Mapping[str, Key] | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        now = micros(self.clock())
        base = micros(base_time) if base_time else now - now % DAY
        self.keys = {**KEYS, **(keys or {})}
        self.calls: Counter[str] = Counter()
        self.calls_total = 0
        self.log: deque[tuple[str, str, Params, bytes | None]] = deque(maxlen=1000)
        self.lock = RLock()
        self.chance = Random(seed + 1)
        self.faults = faults or Faults()
        self.account = Account(seed, customers, base, ties, self._now)
        if self.faults.lag:
            self.account.replica = Account(seed, customers, base, ties, self._now)
            self.account.lag = int(self.faults.lag * SECOND)
        self._between: Callable[[], object] | None = None
        self._handlers: dict[str, Callable[[Call], Reply]] = {
            "list": self._list, "search": self._list, "get": self._get, "lookup": self._lookup, "create": self._create,
            "update": self._update, "delete": self._delete, "usage": self._usage, "entitlements": self._entitlements,
            "grants": self._grants, "subscriptions": self._subscriptions, "wallets": self._wallets,
        }  # fmt: skip

    def _now(self) -> int:
        return micros(self.clock())

    @classmethod
    def from_recorded(cls, path: str | Path) -> Sandbox:
        """An account rebuilt from recorded exchanges (recorded.py); its clock stands at the first one."""
        from connector.sandbox.recorded import rebuild

        return rebuild(Path(path))

    @property
    def environment_id(self) -> str:
        """The one environment that this account's keys can name."""
        return self.account.environment

    @property
    def faults(self) -> Faults:
        """What goes wrong; assign new Faults to change it at any time."""
        return self._trouble.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._trouble = trouble.Trouble(faults)

    def between_calls(self, callback: Callable[[], object] | None) -> None:
        """Call `callback()` after every answer, before the next call; None takes it away."""
        self._between = callback

    def answer(
        self, method: str, path: str, query: Params | Mapping[str, str] = (), body: object = None,
        key: str | None = "sandbox", headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One call, without sockets. `path` may leave out /v1; `body` may be bytes, text or a value to encode.

        Raises:
            ConnectionResetError: when a fault cuts the connection.
        """
        path = path if path.startswith(BASE_PATH + "/") else BASE_PATH + path
        params = list(query.items()) if isinstance(query, Mapping) else query
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if key is not None:
            sent["x-api-key"] = key
        reply = self.reply(method, path, params, _as_bytes(body), sent)
        if reply.manner in ("cut", "cut_body"):
            raise ConnectionResetError(f"the sandbox cut {method} {path}")
        return reply.status, reply.headers, reply.body

    def reply(self, method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """One call with a percent-decoded path and lower-case header names, and how to deliver its answer."""
        with self.lock:
            self.account.settle()
            self.log.append((method, path, query, body))
            self.calls_total += 1
            reply = self._routed(method, path, query, body, headers)
            if "nested_errors" in self.faults.old:
                reply = trouble.nested(reply)
            self._head(reply, headers.get("x-request-id"))
            if self._between is not None:
                self._between()
            return reply

    def _routed(self, method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        inner = path[len(BASE_PATH) :] if path.startswith(BASE_PATH + "/") else ""
        found = find(method, inner)
        if found is None:
            return _unrouted(method, inner)
        route, parts = found
        self.calls[f"{method} {route.template}"] += 1
        if not self._trouble.applies(route.name):
            return self._admitted(route, parts, query, body, headers, calm=True)
        early = self._trouble.instead(time.monotonic())
        reply = early or self._admitted(route, parts, query, body, headers, calm=False)
        return self._trouble.afterwards(reply)

    def _admitted(
        self,
        route: Route,
        parts: dict[str, str],
        query: Params,
        body: bytes | None,
        headers: Mapping[str, str],
        calm: bool,
    ) -> Reply:
        key = admit(headers, self.keys, route.write, self.environment_id)
        if isinstance(key, Reply):
            return key
        self._calm = calm
        try:
            return self._handlers[route.name](Call(route, parts, query, body, key))
        except Refusal as refusal:
            return refusal.reply

    def _head(self, reply: Reply, request_id: str | None) -> None:
        now = self._now()
        headers = {"Date": http_date(now // SECOND), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if "Location" not in headers:
            headers |= FIXED_HEADERS
            headers["X-Request-Id"] = request_id or ulid(now // 1000, self.calls_total, mix(self.calls_total))
        reply.headers = headers

    # -- handlers --------------------------------------------------------------------------------------------------

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
        listing = CustomerListing(self.account.read_side(), self.chance, "archived_included" in self.faults.old)
        return json_reply(listed(listing, asked))

    def _subscriptions(self, call: Call) -> Reply:
        account = self.account.read_side()
        asked = self._asked(call, "subscriptions")
        if "external_id" in call.path:
            asked.equals["customer_id"] = account.customers.row(self._by_key(account, call.path["external_id"]))["id"]
        return json_reply(listed(SubscriptionListing(account, self.chance), asked))

    def _get(self, call: Call) -> Reply:
        expand = check_expand(call.query)
        number = self.account.customers.find(call.path["id"])
        return missing(call.path["id"]) if number is None else json_reply(self.account.customer(number, expand))

    def _lookup(self, call: Call) -> Reply:
        expand = check_expand(call.query)
        account = self.account.read_side()
        return json_reply(account.customer(self._by_key(account, call.path["external_id"]), expand))

    def _create(self, call: Call) -> Reply:
        return create(self.account, call.body, call.key.user)

    def _update(self, call: Call) -> Reply:
        customer_id = call.path.get("id") or call.param("id")
        return update(self.account, customer_id, call.param("external_customer_id"), call.body, call.key.user)

    def _delete(self, call: Call) -> Reply:
        return archive(self.account, call.path["id"], call.key.user)

    def _usage(self, call: Call) -> Reply:
        account = self.account.read_side()
        customer_id = self._usage_customer(account, call)
        features = call.params("feature_ids")
        keys = call.params("feature_lookup_keys")[:50]
        features += [account.catalog.by_key[key].id for key in keys if key in account.catalog.by_key]
        zeros = not self._calm and self._trouble.hit(self.faults.zero_usage)
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
        if not self._calm and self._trouble.hit(self.faults.skip_entitlements):
            body["features"] = []
        return self._child(customer_id, body)

    def _child(self, customer_id: str, body: Json) -> Reply:
        if not self._calm and self._trouble.poisoned(customer_id):
            body = trouble.poison(body)
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

    # -- serving ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve in this event loop; yields the base URL."""
        from connector.sandbox.server import serving  # aiohttp is not needed by in-process tests

        async with serving(self, port, host) as base_url:
            yield base_url

    @contextmanager
    def running(self, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a daemon thread with its own loop; yields the base URL."""
        from connector.sandbox.server import running

        with running(self, port, host) as base_url:
            yield base_url


def _unrouted(method: str, path: str) -> Reply:
    if method == "OPTIONS":
        return Reply(200, b"", None)
    target = redirect_target(method, path)
    if target is None:
        return page_not_found()
    headers = {"Location": BASE_PATH + target}
    if method != "GET":
        return Reply(307, b"", None, headers)
    page = f'<a href="{BASE_PATH}{target}">Moved Permanently</a>.\n\n'
    return Reply(301, page.encode(), "text/html; charset=utf-8", headers)


def _as_bytes(body: object) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)
