"""A FlexPrice server to practise on: seeded data, real answers, faults by switch.

Promises what contract.md says of the customer routes, in process (`Sandbox.answer`) or on a socket
(`Sandbox.serving`, `Sandbox.running`). Never needs an account or the internet.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.sandbox.clock import Clock
from connector.sandbox.faults.faults import Faults
from connector.sandbox.server.access import Key
from connector.sandbox.server.sandbox import Sandbox

__all__ = ["Clock", "Faults", "Key", "Sandbox", "run", "serve"]


async def serve(
    customers: int = 2000, seed: int = 7, port: int = 0, faults: Faults | None = None, host: str = "127.0.0.1",
    ready: Callable[[str], object] | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM, SIGINT or cancellation; `ready` is called with the base URL."""
    from connector.sandbox.server.serve import serve  # importing the package must not import aiohttp

    await serve(customers, seed, port, faults, host, ready)


def run(
    customers: int = 2000, seed: int = 7, port: int = 0, faults: Faults | None = None, host: str = "127.0.0.1",
    ready: Callable[[str], object] | None = None,
) -> None:  # fmt: skip
    """Serve from a command, blocking."""
    from connector.sandbox.server.serve import run

    run(customers, seed, port, faults, host, ready)
