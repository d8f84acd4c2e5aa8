"""Successful answers that say something else than they should.

Promises that only the server's own 200s are changed, and that the same customers are always the broken ones, on any
date. To add one: a field in `switches.Faults`, a function here, its place in ANSWERS.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from connector.sandbox.faults.draw import Draw
from connector.sandbox.faults.pages import PAGES
from connector.sandbox.faults.switches import Faults
from connector.sandbox.ids import timeless
from connector.sandbox.replies import Json, Reply, encode

__all__ = ["ANSWERS", "nested_errors", "say_zero"]

PER_CUSTOMER = ("usage", "entitlements")
"""The routes whose answers hold one customer's features."""
FREE = frozenset({"metadata", "config_value", "config_values"})
"""Objects whose keys belong to the customer: an extra member there would be data."""


def zero_usage(draw: Draw, reply: Reply) -> None:
    """Zeros where the analytics store failed, and late ones (contract.md 11)."""
    if draw.route == "usage" and reply.status == 200 and draw.hit(draw.faults.zero_usage):
        say_zero(reply)
        reply.delay += draw.faults.zero_usage_delay


def say_zero(reply: Reply) -> None:
    """Make every figure of a usage answer the zero that stands for a failure (contract.md 11)."""
    body: Json = msgspec.json.decode(reply.body)
    for feature in body["features"]:
        limit = feature["total_limit"]
        feature["current_usage"] = "0"
        feature["usage_percent"] = "100" if limit is not None and limit <= 0 else "0"
    reply.body = encode(body)


def skip_entitlements(draw: Draw, reply: Reply) -> None:
    """An entitlements answer without its features (contract.md 6.2)."""
    if draw.route == "entitlements" and reply.status == 200 and draw.hit(draw.faults.skip_entitlements):
        reply.body = encode({**msgspec.json.decode(reply.body), "features": []})


def wrong_types(draw: Draw, reply: Reply) -> None:
    """One value of the wrong type in what certain customers have."""
    faults = draw.faults
    if draw.route not in PER_CUSTOMER or reply.status != 200 or not (faults.poison or faults.wrong_types):
        return
    body: Json = msgspec.json.decode(reply.body)
    if poisoned(faults, body["customer_id"]):
        reply.body = encode(poison(body))


def poisoned(faults: Faults, customer_id: str) -> bool:
    """Whether a customer is one of those; the same for every call."""
    share = faults.wrong_types
    return customer_id in faults.poison or (share > 0 and Random(timeless(customer_id)).random() < share)


def poison(body: Json) -> Json:
    """An over-long decimal, or a limit that became a string."""
    for feature in body["features"][:1]:
        if "entitlement" in feature:
            feature["entitlement"]["usage_limit"] = "lots"
        elif sum(timeless(body["customer_id"]).encode()) % 2:
            feature["total_limit"] = "lots"
        else:
            feature["current_usage"] = "1" * 60 + "." + "7" * 30
    return body


def extra_fields(draw: Draw, reply: Reply) -> None:
    """Members that a later version of the API might send."""
    if draw.faults.extra_fields and reply.status == 200 and reply.body:
        reply.body = encode(with_extras(msgspec.json.decode(reply.body)))


def with_extras(value: Any) -> Any:
    """An unknown member in every object of the API's own."""
    if isinstance(value, list):
        return [with_extras(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: member if key in FREE else with_extras(member) for key, member in value.items()}
    return {**found, "x_new_member": {"since": "2027", "list": [1, None]}}


ANSWERS: tuple[Callable[[Draw, Reply], None], ...] = (
    zero_usage,
    skip_entitlements,
    *PAGES,
    wrong_types,
    extra_fields,
)
"""Applied in this order."""


def nested_errors(faults: Faults, reply: Reply) -> Reply:
    """A flat error in the shape of servers before 2026-04-05 (contract.md 2.1); no share or `endpoint` limits it."""
    if "nested_errors" in faults.old and reply.status >= 400 and b'"http_status_code"' in reply.body:
        flat = msgspec.json.decode(reply.body)
        error: Json = {"message": flat["message"], "internal_error": flat["code"]}
        if "details" in flat:
            error["details"] = flat["details"]
        reply.body = encode({"success": False, "error": error})
    return reply
