"""The yardstick: a bare aiohttp loop that reads the same bodies, 64 at a time, and throws them away.

`python tests/benchmarks/bare.py BASE_URL [CUSTOMERS]` prints its own seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp


async def main(base_url: str, customers: int) -> None:
    began = time.perf_counter()
    paths: list[str] = []
    for i in range(customers):
        customer = f"cust_{i:026d}"
        paths += [
            f"/customers/usage?customer_id={customer}",
            f"/customers/{customer}/entitlements",
            f"/customers/{customer}/grants/upcoming",
        ]
    waiting = iter(paths)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def work() -> None:
            for path in waiting:
                async with session.get(base_url + path) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(64)))
    print(f"{time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3000))
