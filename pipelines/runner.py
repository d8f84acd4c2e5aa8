"""The runner: runs one async job, with or without a client, and ends it cleanly on a signal.

Promised: SIGINT and SIGTERM cancel the job, which keeps its state; the client that was opened is closed. Never done:
printing, deciding an exit code.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from connector.api.account import Observer
from connector.api.client import Client
from connector.api.recovery import Waiting
from connector.errors import Interrupted
from connector.settings import Settings

__all__ = ["run", "run_with_client"]

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_with_client(
    settings: Settings,
    job: Callable[[Client], Coroutine[Any, Any, T]],
    on_call: Observer | None = None,
    on_wait: Waiting | None = None,
) -> T:
    """Open a client, run a job with it, and close it.

    Args:
        settings: as the client takes them; the job gets only the client.
        job: takes the open client.
        on_call: called after every HTTP exchange.
        on_wait: called when all calls wait because the server fails, and when they go on.

    Returns:
        What the job returns.

    Raises:
        Interrupted: SIGINT or SIGTERM came, and the job has tidied up.
    """

    async def with_client() -> T:
        async with Client(settings, on_call=on_call, on_wait=on_wait) as api:
            return await job(api)

    return run(with_client())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT and SIGTERM cancel it.

    After the first signal, further ones are ignored: closing the store must not be cut short.

    Args:
        work: the job.

    Returns:
        What the job returns.

    Raises:
        Interrupted: a signal came, and the job has tidied up.
    """
    after = {number: signal.getsignal(number) for number in SIGNALS}
    handled: list[signal.Signals] = []
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(work)
            handled = _cancel_on_signal(loop, task)
            try:
                return loop.run_until_complete(task)
            except asyncio.CancelledError:
                after = dict.fromkeys(SIGNALS, signal.SIG_IGN)
                for number in handled:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_IGN)
                raise Interrupted(
                    "interrupted.", remedy="State is kept: the same command continues from there."
                ) from None
    finally:
        for number in handled:  # the loop leaves SIGTERM to the system
            signal.signal(number, after[number])


def _cancel_on_signal(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> list[signal.Signals]:
    """Let signals cancel the task, where the platform and the thread allow it. Returns those that do."""
    handled: list[signal.Signals] = []
    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, task.cancel)
            handled.append(number)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            break
    return handled
