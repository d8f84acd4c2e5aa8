"""Outages of the server's two stores, as episodes: what it answers while its database or its analytics store is down.

Promises the bodies of contract.md 11 and 12, and that an episode begins with a call and ends by the sandbox's clock, or
begins and ends by hand. Never changes the account.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.sandbox.faults.answers import say_zero
from connector.sandbox.faults.switches import Faults
from connector.sandbox.replies import Reply, bare, error_reply

__all__ = ["Outage", "Outages"]

PARTIAL_SECONDS = 1.0
"""How long a stopping database still gives some of what it holds (contract.md 11)."""
FAILED = {
    "list": "Failed to list customers",
    "search": "Failed to list customers",
    "create": "Failed to create customer",
    "update": "Failed to update customer",
    "subscriptions": "Failed to list subscriptions",
    "entitlements": "Failed to list subscriptions",
}
"""What the server says when its database fails. Lists and writes as in contract.md 2.3 and 2.4, the rest like them."""
FAILED_READ = "Failed to get customer"


class Outage:
    """One store, and whether it is down.

    Args:
        now: the sandbox's clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: float | None = None
        self._by_hand = False
        self._at, self._lasts, self._calls = 0, 0.0, 0

    def plan(self, at: int, lasts: float) -> None:
        """Go down with the `at`-th call from now (0: never) for `lasts` seconds (0: for ever).

        Replaces an earlier plan and ends what it began; a store that was stopped by hand stays stopped.
        """
        self._at, self._lasts, self._calls = at, lasts, 0
        if not self._by_hand:
            self._since = None

    def count(self) -> None:
        """A call arrives."""
        self._calls += 1
        if self._calls == self._at and self._since is None:
            self._since = self._now()
        elif self.down and not self._by_hand and 0 < self._lasts <= self.seconds:
            self._since = None

    def stop(self) -> None:
        """Go down until `start`."""
        self._by_hand = True
        self._since = self._now()

    def start(self) -> None:
        """End an outage, a planned one too."""
        self._by_hand, self._since = False, None

    @property
    def down(self) -> bool:
        """Whether the store is down for the last call counted."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """For how long it has been down."""
        return 0.0 if self._since is None else self._now() - self._since


class Outages:
    """Both stores of one server, and what it answers without them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.analytics, self.database = Outage(now), Outage(now)

    def plan(self, faults: Faults) -> None:
        """Follow the switches."""
        self.analytics.plan(faults.analytics_down_at, faults.analytics_down_for)
        self.database.plan(faults.database_down_at, faults.database_down_for)

    def count(self) -> None:
        """A call arrives, of whatever kind."""
        self.analytics.count()
        self.database.count()

    def stopping(self, faults: Faults) -> bool:
        """Whether the database is down but still gives some of the subscriptions."""
        return faults.database_partial and self.database.down and self.database.seconds < PARTIAL_SECONDS

    def around(self, faults: Faults, route: str, answer: Callable[[], Reply]) -> Reply:
        """The answer to an admitted call; `answer` gives the one of a sound server."""
        if self.database.down and not (route == "entitlements" and self.stopping(faults)):
            return without_database(route)
        if self.analytics.down and route == "events":
            return error_reply("database_error", "Failed to count events")
        reply = answer()
        if self.analytics.down and route == "usage" and reply.status == 200:
            say_zero(reply)
        return reply


def without_database(route: str) -> Reply:
    """500 for any call. Events are in the other store: their call fails at the environment (contract.md 1.2)."""
    if route == "events":
        return bare(500, error="Internal server error", message="Failed to resolve environment")
    return error_reply("database_error", FAILED.get(route, FAILED_READ))
