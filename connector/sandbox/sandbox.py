"""`Sandbox`: a generated account, a server that answers from it, and changes from outside, in one object.

Promises to behave as contract.md says for every customer route and the subscription search, and to answer the same
for the same seed, clock and calls. Nothing else in this package imports this module. Never reaches the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from random import Random

from connector.sandbox.clock import DAY, Clock, micros
from connector.sandbox.data.account import Account
from connector.sandbox.data.mutators import Mutators
from connector.sandbox.data.profiles import Subscribed
from connector.sandbox.faults.switches import Faults
from connector.sandbox.recorded.exchanges import RECORDED_KEY, began_at, read
from connector.sandbox.recorded.fill import fill
from connector.sandbox.server.access import KEYS, Key
from connector.sandbox.server.dispatch import Server

__all__ = ["Sandbox", "run", "serve"]


class Sandbox(Server, Mutators):
    """A FlexPrice account with generated customers. One seed gives one account, whatever the date.

    Args:
        customers: how many exist at the start; their rows are computed on demand.
        seed: determines the generated data and all random choices.
        faults: what goes wrong.
        base_time: the end of the generated history; the first moment of the clock's day by default.
        clock: what the server thinks the time is (a `Clock`, or anything that returns an aware datetime).
        ties: how many customers in a row share one `created_at` and `updated_at`.
        keys: more API keys, by their text.
        subscribed: share of customers with an active or trialing subscription; 0.56 by default.
        several: share of those that have several; 0.21 by default.

    Raises:
        FixInput: when a share is not between 0 and 1.
    """

    def __init__(
        self, customers: int = 2000, seed: int = 7, faults: Faults | None = None, base_time: datetime | None = None,
        clock: Callable[[], datetime] | None = None, *, ties: int = 0, keys: Mapping[str, Key] | None = None,
        subscribed: float | None = None, several: float | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        now = self.now()
        base = micros(base_time) if base_time else now - now % DAY
        account = Account(seed, customers, base, ties, self.now, Subscribed.of(subscribed, several))
        super().__init__(account, self.clock, faults or Faults(), {**KEYS, **(keys or {})}, Random(seed + 1))

    @classmethod
    def from_recorded(cls, path: str | Path) -> Sandbox:
        """An account rebuilt from recorded exchanges (`recorded/`); its clock stands at the first one."""
        exchanges = read(Path(path))
        begin = began_at(exchanges)
        sandbox = cls(customers=0, clock=Clock(begin), base_time=begin)
        fill(sandbox.account, exchanges, micros(begin))
        sandbox.keys = {RECORDED_KEY: Key(environment=None, user=sandbox.account.user)}
        return sandbox

    @asynccontextmanager
    async def serving(self, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve in this event loop; yields the base URL."""
        from connector.sandbox.server.serve import serving  # aiohttp is not needed by in-process tests

        async with serving(self, self.churn_once, port, host) as base_url:
            yield base_url

    @contextmanager
    def running(self, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a daemon thread with its own loop; yields the base URL."""
        from connector.sandbox.server.serve import running

        with running(self, self.churn_once, port, host) as base_url:
            yield base_url


async def serve(
    customers: int = 2000, seed: int = 7, port: int = 0, faults: Faults | None = None, host: str = "127.0.0.1",
    ready: Callable[[str], object] | None = None, *, subscribed: float | None = None, several: float | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM, SIGINT or cancellation; `ready` is called with the base URL."""
    from connector.sandbox.server.serve import serve

    sandbox = Sandbox(customers=customers, seed=seed, faults=faults, subscribed=subscribed, several=several)
    await serve(sandbox, sandbox.churn_once, port, host, ready)


def run(
    customers: int = 2000, seed: int = 7, port: int = 0, faults: Faults | None = None, host: str = "127.0.0.1",
    ready: Callable[[str], object] | None = None, *, subscribed: float | None = None, several: float | None = None,
) -> None:  # fmt: skip
    """Serve from a command, blocking."""
    asyncio.run(serve(customers, seed, port, faults, host, ready, subscribed=subscribed, several=several))
