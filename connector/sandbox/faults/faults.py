"""What can go wrong, by switch.

Promises that the same seed and the same sequence of calls break in the same places. Never breaks anything that was
not switched on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from random import Random
from typing import Any

import msgspec

from connector.errors import FixInput
from connector.sandbox.ids import timeless
from connector.sandbox.replies import Json, Reply, bare, encode, error_reply
from connector.sandbox.routes.routes import NAMES

__all__ = ["OLD", "Faults", "Trouble"]

OLD = ("filters_refused", "filters_ignored", "nested_errors", "archived_included")
"""Behaviours of servers before 2026-07 (contract.md 2.1, 3.6) and of ones that know no filters."""


@dataclass(kw_only=True)
class Faults:
    """Switches; a share is between 0 and 1 and drawn for each call.

    Args:
        latency: milliseconds that every answer takes.
        jitter: up to so many milliseconds more.
        rate: calls per second; beyond it 429.
        retry_after: seconds named with a 429 (None: the header is left out).
        error_rate: share of JSON errors with `error_status`.
        empty500: share of 500s with an empty body.
        proxy502: share of HTML pages from a proxy.
        unauthorized: share of passing 401s (contract.md 1.2).
        cut: share of connections closed before any answer.
        cut_body: share of connections closed in mid-body.
        lost: share of answers that never come: the call is carried out, then the connection is closed.
        torn: share of 200s with half a JSON body, well framed.
        drip: share of bodies sent in small pieces, `drip_delay` seconds apart.
        zero_usage: share of usage answers whose zeros mean failure, `zero_usage_delay` seconds late (contract.md 11).
        skip_entitlements: share of entitlements answers with no features (contract.md 6.2).
        extra_fields: unknown members in every object.
        wrong_types: share of customers (always the same ones) whose children hold a value of the wrong type.
        poison: customers, by id, that are among those.
        churn: changes per second by a background task (create, update, archive).
        late: seconds until a row made by churn or by a mutator becomes visible, with its old timestamps.
        lag: seconds that lists and look-ups are behind (a read replica).
        cache: seconds that GET by id may be stale after a change from outside, and that PUT starts from (contract.md
            3.8).
        loose_ties: what the server leaves to chance is left to chance: the order of rows that the sort leaves equal
            (contract.md 3.3), and which of equally common reset periods is shown (6.2).
        old: behaviours of OLD.
        endpoint: limits all shares and delays to these routes (names of `routes.NAMES`); empty means all.
        first: limits them to the first so many calls that they could apply to; 0 means no limit.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    retry_after: float | None = None
    error_rate: float = 0.0
    error_status: int = 503
    empty500: float = 0.0
    proxy502: float = 0.0
    unauthorized: float = 0.0
    cut: float = 0.0
    cut_body: float = 0.0
    lost: float = 0.0
    torn: float = 0.0
    drip: float = 0.0
    drip_delay: float = 0.05
    zero_usage: float = 0.0
    zero_usage_delay: float = 0.0
    skip_entitlements: float = 0.0
    extra_fields: bool = False
    wrong_types: float = 0.0
    poison: frozenset[str] = frozenset()
    churn: float = 0.0
    late: float = 0.0
    lag: float = 0.0
    cache: float = 0.0
    loose_ties: bool = False
    old: frozenset[str] = frozenset()
    endpoint: frozenset[str] = frozenset()
    first: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("poison", "old", "endpoint"):
            value = getattr(self, name)
            setattr(self, name, frozenset([value] if isinstance(value, str) else value))
        _known("old", self.old, OLD)
        _known("endpoint", self.endpoint, NAMES)

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read `latency=50,error_rate=0.05,old=nested_errors|archived_included`."""
        given: dict[str, Any] = {}
        kinds = {f.name: f.type for f in fields(cls)}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, value = part.partition("=")
            _known("fault", [name], tuple(kinds))
            given[name] = _value(name, str(kinds[name]), value)
        return cls(**given)


def _known(what: str, names: Any, known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise FixInput(f"{what} {name!r} is unknown.", remedy=f"Known: {', '.join(known)}.")


def _value(name: str, kind: str, value: str) -> object:
    if kind.startswith("frozenset"):
        return frozenset(filter(None, value.split("|")))
    try:
        if kind == "bool":
            return {"": True, "1": True, "true": True, "0": False, "false": False}[value.lower()]
        return int(value) if kind == "int" else float(value)
    except (ValueError, KeyError):
        raise FixInput(f"fault {name}: {value!r} does not fit.", remedy=f"Give a value of type {kind}.") from None


PROXY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body>\r\n<h1>502 Bad Gateway</h1>\r\n</body>\r\n</html>\r\n"
)


@dataclass
class Trouble:
    """The faults of a running sandbox: draws, counters, the rate window."""

    faults: Faults
    chance: Random = field(init=False)
    asked: int = 0
    window: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.faults.seed)
        f = self.faults
        self.quiet = f == Faults(
            seed=f.seed, churn=f.churn, late=f.late, lag=f.lag, old=f.old, cache=f.cache, loose_ties=f.loose_ties
        )  # fmt: skip

    def applies(self, route: str) -> bool:
        """Whether the next call of a route may be troubled; counts it."""
        if self.quiet or (self.faults.endpoint and route not in self.faults.endpoint):
            return False
        self.asked += 1
        return not self.faults.first or self.asked <= self.faults.first

    def hit(self, share: float) -> bool:
        """One draw."""
        return share > 0 and self.chance.random() < share

    def instead(self, now: float) -> Reply | None:
        """An answer that keeps the server from being asked at all."""
        f = self.faults
        if f.rate and self._over_rate(now):
            headers = {} if f.retry_after is None else {"Retry-After": f"{f.retry_after:g}"}
            return Reply(429, b'{"message":"Too Many Requests"}', "application/json", headers)
        if self.hit(f.cut):
            return Reply(0, manner="cut")
        if self.hit(f.proxy502):
            return Reply(502, PROXY_PAGE, "text/html")
        if self.hit(f.unauthorized):
            return bare(401, error="Unauthorized")
        if self.hit(f.empty500):
            return Reply(500, b"", None)
        if self.hit(f.error_rate):
            code = "service_unavailable" if f.error_status == 503 else "internal_error"
            reply = error_reply(code, "An unexpected error occurred")
            reply.status = f.error_status
            return reply
        return None

    def _over_rate(self, now: float) -> bool:
        self.window = [moment for moment in self.window if moment > now - 1.0]
        if len(self.window) >= self.faults.rate:
            return True
        self.window.append(now)
        return False

    def afterwards(self, reply: Reply) -> Reply:
        """Spoil an answer, or its delivery."""
        f = self.faults
        reply.delay += (f.latency + (self.chance.random() * f.jitter if f.jitter else 0)) / 1000
        if reply.status == 200 and reply.body:
            if f.extra_fields:
                reply.body = encode(with_extras(msgspec.json.decode(reply.body)))
            if self.hit(f.torn):
                reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]
        if self.hit(f.lost):
            reply.manner = "cut"
        elif reply.body and self.hit(f.cut_body):
            reply.manner = "cut_body"
        elif reply.body and self.hit(f.drip):
            reply.manner = "drip"
        return reply

    def poisoned(self, customer_id: str) -> bool:
        """Whether a customer's children hold a value of the wrong type; the same for every call."""
        f = self.faults
        return customer_id in f.poison or (f.wrong_types > 0 and Random(timeless(customer_id)).random() < f.wrong_types)


FREE = frozenset({"metadata", "config_value", "config_values"})
"""Objects whose keys belong to the customer: an extra member there would be data."""


def with_extras(value: Any) -> Any:
    """An unknown member in every object of the API's own."""
    if isinstance(value, list):
        return [with_extras(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: member if key in FREE else with_extras(member) for key, member in value.items()}
    return {**found, "x_new_member": {"since": "2027", "list": [1, None]}}


def poison(body: Json) -> Json:
    """One value of the wrong type: an over-long decimal, or a limit that became a string."""
    for feature in body["features"][:1]:
        if "entitlement" in feature:
            feature["entitlement"]["usage_limit"] = "lots"
        elif sum(timeless(body["customer_id"]).encode()) % 2:
            feature["total_limit"] = "lots"
        else:
            feature["current_usage"] = "1" * 60 + "." + "7" * 30
    return body


def nested(reply: Reply) -> Reply:
    """A flat error in the shape of servers before 2026-04-05 (contract.md 2.1)."""
    if reply.status < 400 or b'"http_status_code"' not in reply.body:
        return reply
    flat = msgspec.json.decode(reply.body)
    error: Json = {"message": flat["message"], "internal_error": flat["code"]}
    if "details" in flat:
        error["details"] = flat["details"]
    return Reply(reply.status, encode({"success": False, "error": error}))
