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
from datetime import datetime
from pathlib import Path
from random import Random
from threading import RLock

import msgspec

from connector.sandbox.clock import DAY, SECOND, Clock, http_date, micros
from connector.sandbox.data.account import Account
from connector.sandbox.faults.faults import Faults, Trouble, nested
from connector.sandbox.faults.mutators import Mutators
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import FIXED_HEADERS, Json, Refusal, Reply, page_not_found
from connector.sandbox.routes.bodies import Params
from connector.sandbox.routes.handlers import Call, Handlers
from connector.sandbox.routes.routes import Route, find, redirect_target
from connector.sandbox.server.access import KEYS, Key, admit

__all__ = ["BASE_PATH", "Sandbox"]

BASE_PATH = "/v1"
Answer = tuple[int, dict[str, str], bytes]


class Sandbox(Handlers, Mutators):
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
        self.account = Account(seed, customers, base, ties, self.now)
        if self.faults.lag:
            self.account.replica = Account(seed, customers, base, ties, self.now)
            self.account.lag = int(self.faults.lag * SECOND)
        self.cached: dict[str, tuple[int, Json]] = {}
        self._between: Callable[[], object] | None = None

    def now(self) -> int:
        """The server's time in microseconds."""
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
        return self.trouble.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.trouble = Trouble(faults)

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
            self.account.read_side().loose_resets = self.faults.loose_ties
            self.log.append((method, path, query, body))
            self.calls_total += 1
            reply = self._routed(method, path, query, body, headers)
            if "nested_errors" in self.faults.old:
                reply = nested(reply)
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
        if not self.trouble.applies(route.name):
            return self._admitted(route, parts, query, body, headers, calm=True)
        early = self.trouble.instead(time.monotonic())
        reply = early or self._admitted(route, parts, query, body, headers, calm=False)
        return self.trouble.afterwards(reply)

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
        self.calm = calm
        try:
            return self.handle(Call(route, parts, query, body, key))
        except Refusal as refusal:
            return refusal.reply

    def _head(self, reply: Reply, request_id: str | None) -> None:
        now = self.now()
        headers = {"Date": http_date(now // SECOND), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if "Location" not in headers:
            headers |= FIXED_HEADERS
            headers["X-Request-Id"] = request_id or ulid(now // 1000, self.calls_total, mix(self.calls_total))
        reply.headers = headers

    # -- serving ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve in this event loop; yields the base URL."""
        from connector.sandbox.server.serve import serving  # aiohttp is not needed by in-process tests

        async with serving(self, port, host) as base_url:
            yield base_url

    @contextmanager
    def running(self, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a daemon thread with its own loop; yields the base URL."""
        from connector.sandbox.server.serve import running

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
