"""Calls to FlexPrice as data: one builder for each operation. Nothing is sent from here.

Promised: a list parameter is repeated, never joined by commas (contract.md 3.1, 6.1); an identifier that
cannot stand in a path (``/``, ``.``, ``..``, empty) is refused or searched for instead, never rewritten
(contract.md 1.1); only filter operators that the server reads are offered (contract.md 3.4).
Never done: I/O, retries, decoding.

===========================================================  ===============================  ===============
operation (reference)                                        builder                          endpoint class
===========================================================  ===============================  ===============
get_customers                                                list_customers                   customers
post_customers_search                                        search_customers                 customers
get_customers_id_                                            get_customer                     customers
get_customers_external_external_id_                          get_customer_by_external_id      customers
post_customers                                               create_customer                  writes
put_customers                                                update_customer                  writes
delete_customers_id_                                         delete_customer                  writes
get_customers_usage                                          get_usage                        usage
get_customers_id_entitlements                                get_entitlements                 entitlements
get_customers_id_grants_upcoming                             get_upcoming_grants              upcoming_grants
get_customers_external_external_id_entitlements (neighbour)  get_entitlements_by_external_id  entitlements
post_subscriptions_search (neighbour)                        search_subscriptions             subscriptions
get_events (neighbour)                                       probe_events                     events
===========================================================  ===============================  ===============
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from connector.errors import FixInput

Json = dict[str, Any]
PAGE = 1000  # the largest `limit` that the server takes (contract.md 3.2)
SUBSCRIPTION_STATUSES = ("active", "trialing", "cancelled", "paused", "incomplete", "draft")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP exchange to make.

    Attributes:
        operation: its name in the reference, for errors and counts.
        method: HTTP method.
        path: path under the base URL, already percent-encoded, starting with ``/``.
        query: pairs in order; a name may repeat.
        body: JSON bytes or None.
        endpoint: endpoint class; each has its own concurrency limit (design section 6).
        about: the subject of the call (a customer id …), for messages.
    """

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    endpoint: str = "customers"
    about: str = ""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once: true of every read."""
        return self.endpoint != "writes"


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer.

    Attributes:
        status: HTTP status.
        body: raw bytes, exactly as received.
        date: the server's clock (`Date` header, whole seconds, UTC), or None when it sent none.
        elapsed: seconds from the first byte sent to the last received, in the attempt that succeeded.
        attempts: HTTP exchanges that it took.
        request_id: the server's `X-Request-Id`.
        headers: of the answer.
        began: `time.monotonic` when the exchange that was answered started, in seconds; 0 when nobody measured it.
    """

    status: int
    body: bytes
    date: datetime | None = None
    elapsed: float = 0.0
    attempts: int = 1
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    began: float = 0.0

    @property
    def ended(self) -> float:
        """`time.monotonic` when the last byte was received."""
        return self.began + self.elapsed

    def json(self) -> Any:
        """The body decoded with the standard number types. Raises `msgspec.DecodeError` when it is not JSON."""
        return msgspec.json.decode(self.body)


# --- conditions of the filter language (contract.md 3.4) ---------------------------------------------------


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, the form that the server compares exactly (contract.md 3.7)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def after(name: str, moment: datetime) -> Json:
    """Rows whose timestamp `name` is strictly later than `moment`."""
    return {"field": name, "operator": "after", "data_type": "date", "value": {"date": timestamp(moment)}}


def before(name: str, moment: datetime) -> Json:
    """Rows whose timestamp `name` is strictly earlier than `moment`."""
    return {"field": name, "operator": "before", "data_type": "date", "value": {"date": timestamp(moment)}}


def at(name: str, moment: datetime) -> Json:
    """Rows whose timestamp `name` equals `moment` to the microsecond."""
    return {"field": name, "operator": "eq", "data_type": "date", "value": {"date": timestamp(moment)}}


def among(name: str, values: Iterable[str]) -> Json:
    """Rows whose `name` is one of `values`. An empty list is refused: the server would drop the condition silently."""
    return _listed(name, "in", values)


def not_among(name: str, values: Iterable[str]) -> Json:
    """Rows whose `name` is none of `values`. An empty list is refused (contract.md 3.4)."""
    return _listed(name, "not_in", values)


def _listed(name: str, operator: str, values: Iterable[str]) -> Json:
    array = list(values)
    if not array:
        raise FixInput(
            f'filter "{name} {operator}" got an empty list.',
            remedy="The server ignores such a condition and returns everything: leave it out.",
        )
    return {"field": name, "operator": operator, "data_type": "array", "value": {"array": array}}


def ascending(*names: str) -> list[Json]:
    """Sort entries, all ascending, in the order given."""
    return [{"field": name, "direction": "asc"} for name in names]


# --- the ten operations -------------------------------------------------------------------------------------


def list_customers(
    *,
    limit: int | None = None,
    offset: int | None = None,
    status: str | None = None,
    order: str | None = None,
    expand: str | None = None,
    external_id: str | None = None,
    external_ids: Sequence[str] = (),
    customer_ids: Sequence[str] = (),
    email: str | None = None,
    metadata: Mapping[str, str] | None = None,
    filters: Sequence[Json] = (),
) -> Call:
    """`get_customers`: GET /customers. It can be ordered by `created_at` only (contract.md 3.5)."""
    query = _query(
        limit=limit,
        offset=offset,
        status=status,
        order=order,
        expand=expand,
        external_id=external_id,
        external_ids=external_ids,
        customer_ids=customer_ids,
        email=email,
        metadata=_text(metadata) if metadata else None,
        filters=[_text(condition) for condition in filters],
    )
    return Call("get_customers", "GET", "/customers", query)


def search_customers(body: Json | None = None, **given: Any) -> Call:
    """`post_customers_search`: POST /customers/search; keys as in contract.md 3.1, None is left out."""
    return Call("post_customers_search", "POST", "/customers/search", body=_body(body, given))


def get_customer(id: str, *, expand: str | None = None) -> Call:
    """`get_customers_id_`: GET /customers/{id}; archived ones are returned too (contract.md 2.4)."""
    return Call("get_customers_id_", "GET", f"/customers/{_segment(id, 'id')}", _query(expand=expand), about=id)


def get_customer_by_external_id(external_id: str, *, expand: str | None = None) -> Call:
    """`get_customers_external_external_id_`: GET /customers/external/{external_id}, published only.

    The server cannot route an id that holds ``/`` (contract.md 1.1); check it with `fits_path`.
    """
    path = f"/customers/external/{_segment(external_id, 'external_id')}"
    operation = "get_customers_external_external_id_"
    return Call(operation, "GET", path, _query(expand=expand), about=external_id)


def create_customer(body: Json | None = None, **given: Any) -> Call:
    """`post_customers`: POST /customers; `external_id` and `name` are required (contract.md 5.1)."""
    fields = {**(body or {}), **given}
    about = str(fields.get("external_id", ""))
    return Call("post_customers", "POST", "/customers", body=_body(fields, {}), endpoint="writes", about=about)


def update_customer(
    body: Json | None = None, *, id: str | None = None, external_customer_id: str | None = None, **given: Any
) -> Call:
    """`put_customers`: PUT /customers?id= or ?external_customer_id=; absent fields stay (contract.md 5.3)."""
    if not id and not external_customer_id:
        raise FixInput("update_customer got neither id nor external_customer_id.", remedy="Give one of the two.")
    query = _query(id=id, external_customer_id=external_customer_id)
    about = id or external_customer_id or ""
    return Call("put_customers", "PUT", "/customers", query, _body(body, given), "writes", about)


def delete_customer(id: str) -> Call:
    """`delete_customers_id_`: DELETE /customers/{id}; archives the customer, irrevocably (contract.md 3.6, 5.4)."""
    return Call("delete_customers_id_", "DELETE", f"/customers/{_segment(id, 'id')}", endpoint="writes", about=id)


def get_usage(
    customer_id: str | None = None,
    *,
    customer_lookup_key: str | None = None,
    feature_ids: Sequence[str] = (),
    feature_lookup_keys: Sequence[str] = (),
    subscription_ids: Sequence[str] = (),
) -> Call:
    """`get_customers_usage`: GET /customers/usage, a snapshot of the running period (contract.md 6.1)."""
    if not customer_id and not customer_lookup_key:
        raise FixInput("get_usage got neither customer_id nor customer_lookup_key.", remedy="Give one of the two.")
    query = _query(
        customer_id=customer_id,
        customer_lookup_key=customer_lookup_key,
        feature_ids=feature_ids,
        feature_lookup_keys=feature_lookup_keys,
        subscription_ids=subscription_ids,
    )
    about = customer_id or customer_lookup_key or ""
    return Call("get_customers_usage", "GET", "/customers/usage", query, endpoint="usage", about=about)


def get_entitlements(id: str, *, feature_ids: Sequence[str] = (), subscription_ids: Sequence[str] = ()) -> Call:
    """`get_customers_id_entitlements`: GET /customers/{id}/entitlements; empty for an unknown id (contract.md 6.2)."""
    query = _query(feature_ids=feature_ids, subscription_ids=subscription_ids)
    path = f"/customers/{_segment(id, 'id')}/entitlements"
    return Call("get_customers_id_entitlements", "GET", path, query, endpoint="entitlements", about=id)


def get_entitlements_by_external_id(
    external_id: str, *, feature_ids: Sequence[str] = (), subscription_ids: Sequence[str] = ()
) -> Call:
    """GET /customers/external/{external_id}/entitlements; 404 for an unknown or archived customer (contract.md 2.4)."""
    query = _query(feature_ids=feature_ids, subscription_ids=subscription_ids)
    path = f"/customers/external/{_segment(external_id, 'external_id')}/entitlements"
    operation = "get_customers_external_external_id_entitlements"
    return Call(operation, "GET", path, query, endpoint="entitlements", about=external_id)


def get_upcoming_grants(id: str) -> Call:
    """`get_customers_id_grants_upcoming`: GET /customers/{id}/grants/upcoming (contract.md 6.5)."""
    path = f"/customers/{_segment(id, 'id')}/grants/upcoming"
    return Call("get_customers_id_grants_upcoming", "GET", path, endpoint="upcoming_grants", about=id)


def search_subscriptions(body: Json | None = None, **given: Any) -> Call:
    """POST /subscriptions/search. Without `subscription_status`, active ones only (contract.md 7.1)."""
    path = "/subscriptions/search"
    return Call("post_subscriptions_search", "POST", path, body=_body(body, given), endpoint="subscriptions")


def probe_events() -> Call:
    """GET /events in its plain form, for one event: it fails while the analytics store is down (contract.md 12)."""
    return Call("get_events", "GET", "/events", _query(page_size=1), endpoint="events")


# --- how parts of a call are written ------------------------------------------------------------------------


def fits_path(identifier: str) -> bool:
    """Whether `identifier` can stand as one path segment and arrive unchanged (contract.md 1.1)."""
    return bool(identifier) and "/" not in identifier and identifier not in {".", ".."}


def _segment(identifier: str, name: str) -> str:
    if not fits_path(identifier):
        raise FixInput(
            f"{name} {identifier!r} cannot be part of an address.",
            remedy="Look the customer up with search_customers(external_id=…) instead.",
        )
    return quote(identifier, safe="")


def _query(**given: Any) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        if value is None:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        pairs.extend((name, str(item)) for item in values)
    return tuple(pairs)


def _body(body: Json | None, given: Json) -> bytes:
    fields = {**(body or {}), **{name: value for name, value in given.items() if value is not None}}
    return msgspec.json.encode(fields)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
