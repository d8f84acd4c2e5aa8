"""The switches of all faults, and their notation in text.

Promises that a misspelt fault, route or value is refused by name. Never acts on a call; the other modules of this
folder do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from connector.errors import FixInput
from connector.sandbox.routes.routes import NAMES

__all__ = ["LASTING", "OLD", "Faults"]

OLD = ("filters_refused", "filters_ignored", "nested_errors", "archived_included")
"""Behaviours of servers before 2026-07 (contract.md 2.1, 3.6) and of ones that know no filters."""
LASTING = (
    "seed", "churn", "late", "lag", "old", "cache", "loose_ties", "date_ahead", "date_for", "no_events",
    "analytics_down_at", "analytics_down_for", "database_down_at", "database_down_for", "database_partial",
)  # fmt: skip
"""Switches that no share draws and no `endpoint` limits: they act on the account, on how requests are read, and on the
whole server."""
NO_EVENTS = (0, 403, 404)
Share: TypeAlias = float
"""Of calls, from 0 to 1; `Faults` refuses any other value of a field of this type."""


@dataclass(kw_only=True)
class Faults:
    """What goes wrong, by switch. A share is between 0 and 1, and is drawn for each call.

    Args:
        latency: milliseconds before each answer of a known route.
        jitter: at most this many milliseconds more, drawn for each call.
        rate: calls per second; the server answers 429 beyond it.
        retry_after: seconds named with a 429 (None: the header is left out).
        error_rate: share of JSON errors with status `error_status`.
        empty500: share of 500s with an empty body.
        proxy502: share of HTML pages from a proxy.
        unauthorized: share of transient 401s (contract.md 1.2).
        cut: share of connections closed before any answer.
        cut_body: share of connections closed in mid-body.
        lost: share of answers that never come: the call is carried out, then the connection is closed.
        torn: share of 200s with a truncated JSON body and a matching Content-Length.
        drip: share of bodies sent in small pieces.
        drip_delay: seconds between these pieces.
        zero_usage: share of usage answers whose zeros mean a failure (contract.md 11).
        zero_usage_delay: seconds that these answers are late.
        skip_entitlements: share of entitlements answers with no features (contract.md 6.2).
        partial_entitlements: share of entitlements answers that miss one of several subscriptions (contract.md 11).
        cap: most rows of a page, whatever `limit` asks for; `pagination` stays as the server computes it.
        cap_bytes: most bytes of a page's rows, but never less than one row.
        max_limit: a larger `limit` is refused with 400 (contract.md 2.4).
        no_pagination: list answers without `pagination`.
        extra_fields: unknown members in every object.
        wrong_types: share of customers (always the same ones) with a value of a wrong type in usage and entitlements.
        poison: ids of customers that are always among those.
        churn: changes per second by a background task (create, update, archive).
        late: seconds until a row made by churn or by a mutator becomes visible, with its old timestamps.
        lag: seconds that lists and look-ups are behind (a read replica).
        cache: seconds that GET by id may be stale after a change from outside, and that PUT starts from (contract.md
            3.8).
        loose_ties: random order of rows that the sort leaves equal (contract.md 3.3), and a random choice among equally
            common reset periods (6.2).
        old: behaviours of old servers, words of OLD.
        date_ahead: seconds that the `Date` header alone is ahead; negative: behind.
        date_for: how many answers have such a `Date`, from when the switch is set; 0 means all.
        no_events: 403 or 404 for a key or a server that has no events; 0 means that it has.
        analytics_down_at: the call, of all calls since the switch was set, from which on the analytics store is down
            (contract.md 12); 0 means never.
        analytics_down_for: seconds of the sandbox's clock that this lasts; 0 means for ever.
        database_down_at: the same for the database: every call answers 500 (contract.md 11).
        database_down_for: seconds that this lasts.
        database_partial: in the first second of a database outage, entitlements miss one of several subscriptions.
        endpoint: limits every fault above `churn` to these routes (names of `routes.NAMES`); empty means all.
        first: limits them to the first calls, this many, of `endpoint` if that is set; 0 means no limit.
        seed: of all draws.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    retry_after: float | None = None
    error_rate: Share = 0.0
    error_status: int = 503
    empty500: Share = 0.0
    proxy502: Share = 0.0
    unauthorized: Share = 0.0
    cut: Share = 0.0
    cut_body: Share = 0.0
    lost: Share = 0.0
    torn: Share = 0.0
    drip: Share = 0.0
    drip_delay: float = 0.05
    zero_usage: Share = 0.0
    zero_usage_delay: float = 0.0
    skip_entitlements: Share = 0.0
    partial_entitlements: Share = 0.0
    cap: int = 0
    cap_bytes: int = 0
    max_limit: int = 0
    no_pagination: bool = False
    extra_fields: bool = False
    wrong_types: Share = 0.0
    poison: frozenset[str] = frozenset()
    churn: float = 0.0
    late: float = 0.0
    lag: float = 0.0
    cache: float = 0.0
    loose_ties: bool = False
    old: frozenset[str] = frozenset()
    date_ahead: float = 0.0
    date_for: int = 0
    no_events: int = 0
    analytics_down_at: int = 0
    analytics_down_for: float = 0.0
    database_down_at: int = 0
    database_down_for: float = 0.0
    database_partial: bool = False
    endpoint: frozenset[str] = frozenset()
    first: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("poison", "old", "endpoint"):
            value = getattr(self, name)
            setattr(self, name, frozenset([value] if isinstance(value, str) else value))
        _known("old", self.old, OLD)
        _known("endpoint", self.endpoint, NAMES)
        for name in (field.name for field in fields(self) if field.type == "Share"):
            if not 0 <= (share := getattr(self, name)) <= 1:  # NaN is refused too
                raise FixInput(f"fault {name}: {share!r} is no share.", remedy="Give a number from 0 to 1.")
        if self.no_events not in NO_EVENTS:
            raise FixInput(f"fault no_events: {self.no_events!r} does not fit.", remedy="Give 403 or 404.")

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
        what = {"bool": "1 or 0", "int": "a whole number, such as 3"}.get(kind, "a number, such as 0.5")
        raise FixInput(f"fault {name}: {value!r} does not fit.", remedy=f"Give {what}.") from None
