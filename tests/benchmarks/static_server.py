"""A server that answers from memory: 3,000 customers, one subscription each, bodies made from recorded ones.

`python tests/benchmarks/static_server.py [CUSTOMERS]` prints its base URL as its first line. It does nothing per call
but a dictionary look-up, so that a benchmark measures the client.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

RECORDED = Path(__file__).parents[1] / "recorded" / "real-server.jsonl"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def recorded(name: str) -> str:
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        if exchange["name"] == name:
            return str(exchange["response"]["body"])
    raise KeyError(name)


def stamp(i: int) -> str:
    return (BEGAN + timedelta(seconds=i)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Account:
    def __init__(self, customers: int) -> None:
        usage = recorded("usage: one subscription")
        entitlements = recorded("entitlements: one subscription")
        grants = recorded("grants: one subscription")
        customer = json.loads(recorded("search: keyset first page"))["items"][0]
        subscription = json.loads(recorded("subscriptions: keyset"))["items"][0]
        old_customer = json.loads(usage)["customer_id"]
        old_subscription = json.loads(usage)["features"][0]["sources"][0]["subscription_id"]
        old_grant = json.loads(grants)["items"][0]["id"]
        self.bodies: dict[str, bytes] = {}
        self.customers: list[dict[str, object]] = []
        self.subscriptions: list[dict[str, object]] = []
        for i in range(customers):
            customer_id, subscription_id = f"cust_{i:026d}", f"subs_{i:026d}"
            moments = {"created_at": stamp(i), "updated_at": stamp(i)}
            self.customers.append({**customer, "id": customer_id, "external_id": f"ext-{i}", **moments})
            self.subscriptions.append({**subscription, "id": subscription_id, "customer_id": customer_id, **moments})
            for path, body in (
                (f"/v1/customers/usage?{customer_id}", usage),
                (f"/v1/customers/{customer_id}/entitlements", entitlements),
                (f"/v1/customers/{customer_id}/grants/upcoming", grants),
            ):
                text = body.replace(old_customer, customer_id).replace(old_subscription, subscription_id)
                self.bodies[path] = text.replace(old_grant, f"cga_{i:026d}").encode()

    def page(self, rows: list[dict[str, object]], asked: dict[str, object]) -> bytes:
        limit = int(str(asked.get("limit", 50)))
        if asked.get("status") == "archived":
            rows = []
        for condition in asked.get("filters", []):  # type: ignore[attr-defined]
            moment = datetime.fromisoformat(condition["value"]["date"])
            later = condition["operator"] == "after"
            moments = [datetime.fromisoformat(str(row[condition["field"]])) for row in rows]
            rows = [row for row, at in zip(rows, moments, strict=True) if (at > moment if later else at < moment)]
        return json.dumps({"items": rows[:limit], "pagination": {"total": len(rows), "limit": limit}}).encode()


async def main(customers: int) -> None:
    account = Account(customers)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            rows = account.customers if "customers" in request.path else account.subscriptions
            body = account.page(rows, json.loads(await request.read()))
        else:
            path = request.path
            if path.endswith("/usage"):
                path += "?" + parse_qs(request.query_string)["customer_id"][0]
            body = account.bodies[path]
        return web.Response(body=body, headers={"Content-Type": "application/json; charset=utf-8"})

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000))
