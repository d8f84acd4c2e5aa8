"""The client for programs without an event loop: `Flexprice` waits for every answer.

Promised: it works in a notebook, whose own loop is already running; several threads may share one client; Ctrl-C in a
waiting call cancels the call; closing twice is safe. Never done: HTTP of its own: an `AsyncFlexprice` does the work.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from connector.api.account import Account, Hooks
from connector.api.calls import Call, Reply
from connector.api.flow import Gate
from connector.api.retries import Retries
from connector.clients.asynchronous import AsyncFlexprice
from connector.clients.blocking_allowances import Allowances
from connector.clients.blocking_customers import Customers
from connector.clients.blocking_listings import Listings
from connector.clients.calling import operation
from connector.errors import FixInput
from connector.settings import Settings

__all__ = ["Flexprice"]

P = ParamSpec("P")
R = TypeVar("R")


class Flexprice(Account, Customers, Listings, Allowances):
    """A FlexPrice account: the ten customer operations by name, iterators, and `send` for any `Call`.

    Use it in ``with``, or call `close`: a client that is left open warns with a ResourceWarning. Several threads may
    share it. An `AsyncFlexprice` does the work, on a loop in a thread of its own, because the transport is async only.

    Example:
        ``with Flexprice(api_key=…) as api: customer = api.get_customer(external_id="acct-1")``
    """

    def _open(self, settings: Settings, hooks: Hooks) -> None:
        self._api = self._async = AsyncFlexprice(settings, **hooks)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="flexprice", daemon=True)
        self._thread.start()
        self._closing = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            self._loop.call_soon_threadsafe(_end, self._loop, self._async)  # not waited for: the program may be ending
            warnings.warn(f"unclosed {self!r}: use `with`, or `close`", ResourceWarning, 2, source=self)

    @property
    def gate(self) -> Gate:
        """The gate that all calls pass; `gate.report()` counts them."""
        return self._async.gate

    @property
    def settings(self) -> Settings:
        """The settings that it was opened with; the key in them prints as ``***``."""
        return self._async.settings

    def close(self) -> None:
        """Close all connections and end the thread; a second time does nothing."""
        with self._closing:
            if self._closed:
                return
            self._run(self._async.aclose)
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    @operation()
    def send(
        self, call: Call, *, retries: Retries = None, timeout: float | None = None, until: float | None = None
    ) -> Reply:
        """Make any call of `connector.api.calls`, for what has no operation by name.

        Args:
            call: the call.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            until: no attempt starts after this moment of `time.monotonic`.

        Returns:
            The 2xx answer as it came.

        Raises:
            FlexsyncError: no answer, or a refusal.
        """
        return self._run(self._async.send, call, retries=retries, timeout=timeout, until=until)

    def _run(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **given: P.kwargs) -> R:
        if self._closed:
            raise FixInput("This client is closed.", remedy="Open a new one.")
        waiting = asyncio.run_coroutine_threadsafe(work(*args, **given), self._loop)
        try:
            return waiting.result()
        except BaseException:  # Ctrl-C: the call must not continue behind the caller's back
            waiting.cancel()
            raise


def _end(loop: asyncio.AbstractEventLoop, api: AsyncFlexprice) -> None:
    """Close what nobody closed, and stop."""
    loop.create_task(api.aclose()).add_done_callback(lambda _: loop.stop())


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())  # walks that nobody walked to their end
    finally:
        loop.close()
