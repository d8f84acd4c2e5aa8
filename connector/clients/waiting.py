"""What the operations of the blocking client stand on: something that runs a coroutine to its end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from connector.clients.asynchronous import AsyncOperations

__all__ = ["Waiting"]

P = ParamSpec("P")
R = TypeVar("R")


class Waiting:
    """Waits for operations of `_api`."""

    _api: AsyncOperations

    def _run(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **given: P.kwargs) -> R:
        """Run `work` to its end; implemented by `connector.clients.blocking.Flexprice`."""
        raise NotImplementedError
