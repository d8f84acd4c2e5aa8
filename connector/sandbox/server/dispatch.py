"""Dispatch: each call is routed, admitted and handled, with the faults around it.

Promises the same answers for the same seed, clock and calls. Never opens a socket, and never sleeps: a reply says how
long its delivery has to wait.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from threading import RLock

import msgspec

from connector.sandbox.clock import SECOND, http_date, micros
from connector.sandbox.data.account import Account
from connector.sandbox.faults.injector import Injector
from connector.sandbox.faults.modes import set_modes, start_modes
from connector.sandbox.faults.outages import Outages
from connector.sandbox.faults.switches import Faults
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import FIXED_HEADERS, Refusal, Reply, page_not_found
from connector.sandbox.routes.bodies import Params
from connector.sandbox.routes.handlers import Call, Handlers
from connector.sandbox.routes.routes import Route, find, redirect_target
from connector.sandbox.server.access import Key, admit

__all__ = ["BASE_PATH", "Answer", "Server"]

BASE_PATH = "/v1"
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers calls from one account.

    Args:
        account: what is read and changed; without any change yet.
        clock: what the server thinks the time is.
        faults: what goes wrong.
        keys: who may call, by the text of their API key.
        chance: what the server leaves to chance is drawn from it.

    Attributes:
        calls: how many calls each route had, by method and template.
        log: the last thousand calls: method, path, query, body.
    """

    def __init__(
        self, account: Account, clock: Callable[[], datetime], faults: Faults, keys: Mapping[str, Key], chance: Random
    ) -> None:
        self.account, self.clock, self.keys, self.chance = account, clock, dict(keys), chance
        self.calls: Counter[str] = Counter()
        self.calls_total = 0
        self.log: deque[tuple[str, str, Params, bytes | None]] = deque(maxlen=1000)
        self.lock = RLock()
        self.outages = Outages(lambda: self.now() / SECOND)
        start_modes(account, faults)
        self.faults = faults
        self.handlers = Handlers(account, chance, lambda: self._injector)
        self._between: Callable[[], object] | None = None

    def now(self) -> int:
        """The server's time in microseconds."""
        return micros(self.clock())

    @property
    def environment_id(self) -> str:
        """The one environment that this account's keys can name."""
        return self.account.environment

    @property
    def faults(self) -> Faults:
        """What goes wrong; assign new Faults to change it at any time."""
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector = Injector(faults, self.outages)
        set_modes(self.account, faults)

    def before_count(self, callback: Callable[[], object] | None) -> None:
        """Call `callback()` between the two queries of every list answer, the page and its total (contract.md 3.2)."""
        self.handlers.before_count = callback

    def stop_analytics(self) -> None:
        """Stop the analytics store until `start_analytics`: usage says zero, events answer 500 (contract.md 12)."""
        with self.lock:
            self.outages.analytics.stop()

    def start_analytics(self) -> None:
        """End an outage of the analytics store, one that a switch began too."""
        with self.lock:
            self.outages.analytics.start()

    def stop_database(self) -> None:
        """Stop the database until `start_database`: every call answers 500 (contract.md 11)."""
        with self.lock:
            self.outages.database.stop()

    def start_database(self) -> None:
        """End an outage of the database, one that a switch began too."""
        with self.lock:
            self.outages.database.start()

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
        if reply.delivery in ("cut", "cut_body"):
            raise ConnectionResetError(f"the sandbox cut {method} {path}")
        return reply.status, reply.headers, reply.body

    def reply(self, method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """One call with a percent-decoded path and lower-case header names, and how to deliver its answer."""
        with self.lock:
            self.account.settle()
            self.log.append((method, path, query, body))
            self.calls_total += 1
            self.outages.count()
            reply = self._routed(method, path, query, body, headers)
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
        return self._injector.around(route.name, lambda: self._admitted(route, parts, query, body, headers))

    def _admitted(
        self, route: Route, parts: dict[str, str], query: Params, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        key = admit(headers, self.keys, route.write, self.environment_id)
        if isinstance(key, Reply):
            return key
        try:
            call = Call(route, parts, query, body, key.user)
            return self._injector.served(route.name, lambda: self.handle(call))
        except Refusal as refusal:
            return refusal.reply

    def handle(self, call: Call) -> Reply:
        """The answer to an admitted call, faults apart.

        Raises:
            Refusal: with the server's error as its reply.
        """
        return self.handlers.handle(call)

    def _head(self, reply: Reply, request_id: str | None) -> None:
        now = self.now()
        headers = {"Date": http_date(self._injector.date(now) // SECOND), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if "Location" not in headers:
            headers |= FIXED_HEADERS
            headers["X-Request-Id"] = request_id or ulid(now // 1000, self.calls_total, mix(self.calls_total))
        reply.headers = headers


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
