"""The table of routes: from method and path to a route's name.

Promises the routing of contract.md 0 and 1.1: static segments win, plain-text 404 for the rest, no 405. Never looks
at keys.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROUTES", "Route", "find", "redirect_target"]


class Route(NamedTuple):
    """One operation. `name` is what faults are limited by, `template` what calls are counted by."""

    method: str
    template: str
    name: str
    write: bool = False

    @property
    def segments(self) -> list[str]:
        """The template's parts."""
        return self.template.strip("/").split("/")


ROUTES = (
    Route("GET", "/customers", "list"),
    Route("POST", "/customers", "create", write=True),
    Route("PUT", "/customers", "update", write=True),
    Route("POST", "/customers/search", "search"),
    Route("GET", "/customers/usage", "usage"),
    Route("GET", "/customers/wallets", "wallets"),
    Route("GET", "/customers/external/{external_id}", "lookup"),
    Route("GET", "/customers/lookup/{external_id}", "lookup"),
    Route("GET", "/customers/external/{external_id}/entitlements", "entitlements"),
    Route("GET", "/customers/external/{external_id}/subscriptions", "subscriptions"),
    Route("GET", "/customers/{id}/usage", "usage"),
    Route("GET", "/customers/{id}/entitlements", "entitlements"),
    Route("GET", "/customers/{id}/wallets", "wallets"),
    Route("GET", "/customers/{id}/grants/upcoming", "grants"),
    Route("GET", "/customers/{id}", "get"),
    Route("PUT", "/customers/{id}", "update", write=True),
    Route("DELETE", "/customers/{id}", "delete", write=True),
    Route("POST", "/subscriptions/search", "subscriptions"),
    Route("GET", "/subscriptions", "subscriptions"),
    Route("GET", "/events", "events"),
    Route("POST", "/events/query", "events"),
)
"""Static segments come before `{…}` ones of the same shape, so the first match wins."""

_BY_SHAPE: dict[tuple[str, int], list[tuple[Route, list[str]]]] = {}
for _route in ROUTES:
    _BY_SHAPE.setdefault((_route.method, len(_route.segments)), []).append((_route, _route.segments))

NAMES = tuple(sorted({route.name for route in ROUTES}))


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a percent-decoded path without the base, and its path parameters."""
    if path[:1] != "/":
        return None
    parts = path[1:].split("/")
    for route, segments in _BY_SHAPE.get((method, len(parts)), ()):
        found = _match(segments, parts)
        if found is not None:
            return route, found
    return None


def _match(segments: list[str], parts: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for segment, part in zip(segments, parts, strict=True):
        if segment[0] == "{" and part:
            found[segment[1:-1]] = part
        elif segment != part:
            return None
    return found


def redirect_target(method: str, path: str) -> str | None:
    """The path without its trailing slash, when that one is routed."""
    bare = path[:-1]
    return bare if path.endswith("/") and bare and find(method, bare) else None
