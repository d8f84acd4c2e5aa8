"""The server on a socket: aiohttp hands each request to `Server.reply` and delivers the reply as it says.

Promises a stop that leaves no task behind. Never decides what an answer says.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from connector.sandbox.faults.churn import churn
from connector.sandbox.replies import Reply
from connector.sandbox.server.dispatch import BASE_PATH, Server

__all__ = ["running", "serve", "serving"]

SENT = ("x-api-key", "authorization", "x-environment-id", "x-request-id")
Change = Callable[[], object]
DRIPS = 20
"""Pieces that a dripping body is cut into."""


def handler(server: Server) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """What aiohttp calls for each request."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        # not request.read(): that one refuses more than a megabyte, and the real server has no limit (contract.md 1.4)
        body = await request.content.read() if request.body_exists else None
        headers = {name: value for name in SENT if (value := request.headers.get(name)) is not None}
        params = parse_qsl(query, keep_blank_values=True) if query else ()
        reply = server.reply(request.method, unquote(path), params, body, headers)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.manner:
            return await _badly(request, reply, server.faults.drip_delay)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    return handle


async def _badly(request: web.BaseRequest, reply: Reply, drip_delay: float) -> web.StreamResponse:
    """Deliver an answer that is cut, or drips."""
    if reply.manner == "cut":
        _hang_up(request)
        return web.Response()
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    if reply.manner == "cut_body":
        await response.write(reply.body[: len(reply.body) // 2])
        _hang_up(request)
        return response
    size = max(1, len(reply.body) // DRIPS)
    for start in range(0, len(reply.body), size):
        await response.write(reply.body[start : start + size])
        await asyncio.sleep(drip_delay)
    return response


def _hang_up(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


@asynccontextmanager
async def serving(server: Server, change: Change, port: int, host: str) -> AsyncIterator[str]:
    """Listen until the block ends; yields the base URL. `change()` is called as often as the fault `churn` says."""
    runner = web.ServerRunner(web.Server(handler(server), access_log=None), shutdown_timeout=0.2)
    await runner.setup()
    churning = asyncio.create_task(churn(lambda: server.faults, change))
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}{BASE_PATH}"
    finally:
        churning.cancel()
        with suppress(asyncio.CancelledError):
            await churning
        await runner.cleanup()


@contextmanager
def running(server: Server, change: Change, port: int, host: str) -> Iterator[str]:
    """Serve from a daemon thread; yields the base URL, and re-raises what kept the server from starting."""
    ready = threading.Event()
    outcome: list[str | BaseException] = []
    stop: list[Callable[[], object]] = []

    async def main() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        async with serving(server, change, port, host) as base_url:
            outcome.append(base_url)
            ready.set()
            await stopped.wait()

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            outcome.append(error)
            ready.set()

    thread = threading.Thread(target=work, name="sandbox", daemon=True)
    thread.start()
    ready.wait()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    try:
        yield outcome[0]
    finally:
        stop[0]()
        thread.join(timeout=5)


async def serve(
    server: Server, change: Change, port: int, host: str, ready: Callable[[str], object] | None = None
) -> None:
    """Serve until SIGTERM, SIGINT or cancellation; `ready` is called with the base URL."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not on this platform, or not the main thread
            loop.add_signal_handler(name, stopped.set)
    async with serving(server, change, port, host) as base_url:
        if ready is not None:
            ready(base_url)
        await stopped.wait()
