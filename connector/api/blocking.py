"""The client for programs without an event loop: `Flexprice` waits for every answer.

Promised: it works in a notebook, whose own loop is already running; several threads may share one client; Ctrl-C in a
waiting call cancels the call; closing twice is safe. Never done: HTTP of its own: an `AsyncFlexprice` does the work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from connector.api.client import AsyncFlexprice, Observer
from connector.api.flow import Gate
from connector.api.operations import Operations
from connector.api.recovery import Waiting
from connector.errors import FixInput
from connector.settings import Secret, Settings, masked

__all__ = ["Flexprice"]

R = TypeVar("R")


class Flexprice(Operations):
    """`AsyncFlexprice` for programs without an event loop; takes the same arguments.

    The transport is async only, so a loop in a thread of its own does the work.

    ``with Flexprice(base_url=…, api_key=…) as api: customer = api.get_customer("cust_…")``
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        environment_id: str | None = None,
        allow_http: Sequence[str] | None = None,
        gate: Gate | None = None,
        on_call: Observer | None = None,
        on_wait: Waiting | None = None,
    ) -> None:
        api_key = masked(api_key)
        self._api = self._async = AsyncFlexprice(
            settings,
            base_url=base_url,
            api_key=api_key,
            environment_id=environment_id,
            allow_http=allow_http,
            gate=gate,
            on_call=on_call,
            on_wait=on_wait,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flexprice", daemon=True)
        self._thread.start()
        self._closing = threading.Lock()

    def __enter__(self) -> Flexprice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def gate(self) -> Gate:
        """The gate that all calls pass; `gate.report()` counts them."""
        return self._async.gate

    def close(self) -> None:
        """Close all connections and end the thread; a second time does nothing."""
        with self._closing:
            if self._loop.is_closed():
                return
            self._run(self._async.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        if self._loop.is_closed():
            work.close()
            raise FixInput("This client is closed.", remedy="Open a new one.")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:  # Ctrl-C: the call must not continue behind the caller's back
            waiting.cancel()
            raise
