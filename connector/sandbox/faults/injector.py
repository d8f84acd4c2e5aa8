"""The faults of a running sandbox: when a call is troubled, and in which order faults act on it.

Promises that the same seed and the same sequence of calls break in the same places. Never breaks anything that was
not switched on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from connector.sandbox.clock import SECOND
from connector.sandbox.faults.answers import ANSWERS, nested_errors
from connector.sandbox.faults.delivery import DELIVERY
from connector.sandbox.faults.draw import Draw
from connector.sandbox.faults.early import EARLY, RateLimit, no_events
from connector.sandbox.faults.outages import Outages, without_database
from connector.sandbox.faults.requests import REQUESTS, TROUBLED
from connector.sandbox.faults.switches import LASTING, Faults
from connector.sandbox.replies import Refusal, Reply
from connector.sandbox.routes.filters import Filter

__all__ = ["Injector"]


class Injector:
    """Acts on calls as its switches say.

    Args:
        faults: the switches; their `seed` is where all draws come from.
        outages: the server's stores; they outlive the switches, because they can be stopped by hand.
    """

    def __init__(self, faults: Faults, outages: Outages) -> None:
        self.faults, self.outages = faults, outages
        outages.plan(faults)
        self.draw: Draw | None = None  # of the current call, if it may be troubled
        self.dated = 0
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
        draw = self.draw = Draw(self.faults, route, self.chance) if self.applies(route) else None
        if draw is None:
            return nested_errors(self.faults, answer())
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

    def served(self, route: str, answer: Callable[[], Reply]) -> Reply:
        """The answer to an admitted call of a server whose stores may be down, or that has no events.

        Args:
            route: the route's name.
            answer: gives the answer of a sound server.

        Raises:
            Refusal: with the server's error as its reply.
        """
        return no_events(self.faults, route) or self.outages.around(self.faults, route, answer)

    def date(self, now: int) -> int:
        """What the `Date` header of the next answer says, for the server's time in microseconds."""
        self.dated += 1
        if self.faults.date_for and self.dated > self.faults.date_for:
            return now
        return now + int(self.faults.date_ahead * SECOND)

    def loaded(self, subscriptions: list[int]) -> list[int]:
        """Those of a customer's subscriptions that an entitlements answer is made of (contract.md 11).

        Raises:
            Refusal: when the database stops, and there is only one that it could leave out.
        """
        stopping = self.outages.stopping(self.faults)
        several = len(subscriptions) > 1
        if stopping and not several:
            raise Refusal(without_database("entitlements"))
        if stopping or (several and self.draw is not None and self.draw.hit(self.faults.partial_entitlements)):
            missing = self.chance.choice(subscriptions)
            return [row for row in subscriptions if row != missing]
        return subscriptions

    def edit_request(self, request: Filter, noun: str) -> None:
        """Change how a list request is read.

        Args:
            request: the request, already checked.
            noun: what is listed, as the server's errors name it.

        Raises:
            Refusal: when the server refuses the request for a fault's sake.
        """
        for edit in (*REQUESTS, *(TROUBLED if self.draw is not None else ())):
            edit(self.faults, self.chance, request, noun)
