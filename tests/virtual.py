"""Virtual time: an event loop whose clock jumps to whatever it would have slept for, so every schedule is exact."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: what it would have waited for is added to its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        return self.now


class _Skipping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits and nothing will ever wake them: a wake-up was lost")
        self._loop.now += timeout
        return super().select(0)


def play(work: Callable[[VirtualLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine on a virtual clock."""
    with contextlib.closing(VirtualLoop()) as loop:
        return loop.run_until_complete(work(loop))
