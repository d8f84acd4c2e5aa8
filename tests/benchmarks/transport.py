"""What each way of making small GETs costs: ``python tests/benchmarks/transport.py [calls] [in flight]``.

Starts an aiohttp server of its own in a second process, sends the same GETs (2.5 kB answers) through every layer, and
prints calls per second and the ratio to bare aiohttp. Rounds are interleaved and the best of each is shown, so that
another process's burst does not choose the winner. It asserts nothing.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx
from aiohttp import web
from httpx_aiohttp import AiohttpTransport

from connector.api import calls
from connector.api.client import Client
from connector.api.flow import Gate

BODY = (
    b'{"customer_id":"cust_1","features":['
    + b",".join(b'{"feature":{"id":"feat_%03d"}}' % n for n in range(78))
    + b"]}"
)
Send = Callable[[int], Awaitable[int]]


def serve() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


async def rate(send: Send, count: int, many: int) -> tuple[float, float]:
    """Calls per second, and microseconds of this process's CPU per call (which a busy neighbour hardly moves)."""
    todo = iter(range(count))

    async def work() -> None:
        for number in todo:
            assert await send(number) == len(BODY)

    gc.collect()
    began, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(many)))
    return count / (time.perf_counter() - began), (time.process_time() - spent) / count * 1e6


async def compare(base: str, count: int, many: int) -> None:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=many))
    transport = AiohttpTransport(limits=httpx.Limits(max_connections=many))
    over = httpx.AsyncClient(transport=AiohttpTransport(limits=httpx.Limits(max_connections=many)))
    own = httpx.AsyncClient(limits=httpx.Limits(max_connections=many))
    gate = Gate(max_in_flight=many)
    api = Client(base_url=base, api_key="sk_bench", gate=gate)

    async def bare(n: int) -> int:
        async with session.get(f"{base}/customers/{n}/entitlements") as response:
            return len(await response.read())

    async def direct(n: int) -> int:
        request = httpx.Request("GET", f"{base}/customers/{n}/entitlements")
        return len(await (await transport.handle_async_request(request)).aread())

    async def client(n: int) -> int:
        return len((await over.get(f"{base}/customers/{n}/entitlements")).content)

    async def pool(n: int) -> int:
        return len((await own.get(f"{base}/customers/{n}/entitlements")).content)

    async def send(n: int) -> int:
        return len((await api.send(calls.get_entitlements(str(n)))).body)

    ways: dict[str, Send] = {
        "bare aiohttp": bare,
        "transport called directly": direct,
        "AsyncClient over the transport": client,
        "Client.send (gate, checks)": send,
    }
    best = dict.fromkeys(ways, (0.0, 0.0))
    for _ in range(4):
        for name, way in ways.items():
            best[name] = max(best[name], await rate(way, count, many))
    best["httpx's own pool"] = await rate(pool, min(count, 1500), many)
    for name, (value, cpu) in best.items():
        print(f"{name:36} {value:8,.0f}/s   {cpu:6,.0f} us CPU a call   {value / best['bare aiohttp'][0]:5.2f} of bare")
    print("gate:", gate.report()["endpoints"])
    await asyncio.gather(session.close(), transport.aclose(), over.aclose(), own.aclose(), api.aclose())


def main() -> None:
    count, many = (int(given) for given in [*sys.argv[1:], "6000", "64"][:2])
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        asyncio.run(compare(f"http://127.0.0.1:{server.stdout.readline().strip()}/v1", count, many))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main()
