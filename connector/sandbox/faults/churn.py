"""A busy business: changes that go on while the sandbox serves.

Promises `churn` changes a second until it is cancelled, and that a new rate is noticed within half a second. Never
decides what a change is; `data/mutators.py` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.sandbox.faults.switches import Faults

__all__ = ["churn"]


async def churn(faults: Callable[[], Faults], change: Callable[[], object]) -> None:
    """Call `change()` at the rate that `faults()` names; runs until it is cancelled."""
    while True:
        rate = faults().churn
        await asyncio.sleep(1 / rate if rate else 0.5)
        if rate:
            change()
