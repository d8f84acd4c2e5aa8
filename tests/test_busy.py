"""A copy of an account that changes twenty times a second is complete, and says so."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
from command import ask, environment, flexsync, server
from sizes import Size, sizes


def _rows(base_url: str) -> dict[str, tuple[str, ...]]:
    """Every customer as the server holds it: id -> status, name, updated_at. Read by created_at, which never moves."""
    found = {}
    for status in ("published", "archived"):
        after = "2000-01-01T00:00:00Z"
        while True:
            body = {
                "status": status,
                "limit": 1000,
                "filters": [{"field": "created_at", "operator": "after", "value": {"date": after}}],
                "sort": [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}],
            }
            reply = httpx.post(
                f"{base_url}/customers/search", json=body, headers={"x-api-key": "sandbox"}, trust_env=False, timeout=30
            )
            items = reply.json()["items"]
            for row in items:
                found[row["id"]] = (row["status"], row["name"], row["updated_at"])
            if len(items) < 1000:
                break
            last = items[-1]["created_at"]  # its ties may be on the next page: ask for them all again
            after = next(row["created_at"] for row in reversed(items) if row["created_at"] != last)
    return found


def _copy_under_churn(folder: Path, customers: int) -> None:
    with server(customers, "churn=20") as base_url:
        time.sleep(0.5)
        env = environment(base_url)
        before = set(_rows(base_url))
        for run in ("full", "incremental"):
            began = time.monotonic()
            done = flexsync("sync", "--store", "s.duckdb", "--json", env=env, cwd=folder, seconds=300)
            took = time.monotonic() - began
            assert done.code == 0, done.err
            report = done.json
            assert (report["status"], report["mode"]) == ("green", run)
            certified = report["certificate"]["customers"]
            assert certified["holds"]
            assert certified["existed"] == certified["stored"] >= customers
            proven = certified["existed"]
            moved = report["tables"].get("customers", {})
            print(f"{run}: {took:.1f} s, {report['calls']} calls, {proven} customers proven, moved {moved}")
            print(f"     notes {report['notes']}, waited {report['flow']['waited']}")
        held = {row[0] for row in ask(folder / "s.duckdb", "SELECT id FROM customers WHERE gone_at IS NULL")}
        assert before <= held, "a customer that existed before the first run is not in the copy"
        now = _rows(base_url)
        assert held <= set(now), "the copy holds a customer that the server does not have"
        stored = {
            row[0]: row[1:]
            for row in ask(folder / "s.duckdb", "SELECT id, status, name FROM customers WHERE gone_at IS NULL")
        }
        behind = [id for id in stored if stored[id] != now[id][:2]]
        print(f"     {len(held)} rows held, {len(now)} on the server now, {len(behind)} changed since")
        began_at = certified["t0"].removesuffix("+00:00")
        assert all(now[id][2] >= began_at for id in behind), "a change from before the second run is not in the copy"


@sizes(default=0, sampled=400, thorough=5000)
def test_a_busy_account_is_copied_whole(tmp_path: Path, size: Size) -> None:
    """Twenty creates, updates and archives a second: a full and an incremental run are green, and nobody is missing."""
    _copy_under_churn(tmp_path, size.count)
