"""The faults of a running sandbox: when a call is troubled, and in which order faults act on it.

Promises that the same seed and the same sequence of calls break in the same places. Never breaks anything that was
not switched on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from connector.sandbox.faults.answers import ANSWERS, nested_errors
from connector.sandbox.faults.delivery import DELIVERY
from connector.sandbox.faults.draw import Draw
from connector.sandbox.faults.early import EARLY, RateLimit
from connector.sandbox.faults.requests import REQUESTS
from connector.sandbox.faults.switches import LASTING, Faults
from connector.sandbox.replies import Reply
from connector.sandbox.routes.filters import Filter

__all__ = ["Injector"]


class Injector:
    """Acts on calls as its switches say.

    Args:
        faults: the switches; their `seed` is where all draws come from.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.chance = Random(faults.seed)
        self.rate_limit = RateLimit()
        self.seen = 0
        self.quiet = faults == Faults(**{name: getattr(faults, name) for name in LASTING})

    def applies(self, route: str) -> bool:
        """Whether the next call of a route may be troubled; counts it."""
        if self.quiet or (self.faults.endpoint and route not in self.faults.endpoint):
            return False
        self.seen += 1
        return not self.faults.first or self.seen <= self.faults.first

    def around(self, route: str, answer: Callable[[], Reply]) -> Reply:
        """The answer to one call.

        Args:
            route: the route's name (`routes.NAMES`).
            answer: gives the server's own answer; not called when an early one takes its place.
        """
        if not self.applies(route):
            return nested_errors(self.faults, answer())
        draw = Draw(self.faults, route, self.chance)
        reply = self._early(draw)
        if reply is None:
            reply = answer()
            for change in ANSWERS:
                change(draw, reply)
        reply = nested_errors(self.faults, reply)
        for deliver in DELIVERY:
            deliver(draw, reply)
        return reply

    def _early(self, draw: Draw) -> Reply | None:
        reply = self.rate_limit(self.faults, time.monotonic())
        for early in EARLY:
            if reply is not None:
                break
            reply = early(draw)
        return reply

    def edit_request(self, request: Filter, noun: str) -> None:
        """Change how a list request is read.

        Args:
            request: the request, already checked.
            noun: what is listed, as the server's errors name it.

        Raises:
            Refusal: when the server refuses the request for a fault's sake.
        """
        for edit in REQUESTS:
            edit(self.faults, self.chance, request, noun)
