"""Doctor: check everything that a sync needs, and say what to do about what is missing.

Promised: every check is made and told, the first fault does not hide the next; nothing is written but an empty store's
lock. Never done: mending.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.api import calls
from connector.api.client import AsyncFlexprice
from connector.errors import FixInput, FlexsyncError
from connector.publications import reading as copies
from connector.settings import Settings
from connector.store.store import Store
from connector.tables.schemas import SCHEMA_VERSION
from pipelines.jobs import run, total


def doctor(settings: Settings) -> list[dict[str, Any]]:
    """Check everything that a sync needs; each check says what it found and what to do."""
    checks = [_check("settings", lambda: f"{settings.config or 'no file'}; base URL {settings.api.base_url}")]
    checks.append(_check("key", lambda: f"{settings.require_key()} from {settings.api.key_env}"))
    checks.append(_check("store", lambda: _check_store(settings.sync.store)))
    checks += [_check(f"publication {target}", lambda t=target: _check_target(t)) for target in settings.sync.publish]
    if all(check["ok"] for check in checks[:2]):
        checks += run(_check_server(settings))
    return checks


def _check(name: str, look: Any) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "found": look()}
    except FlexsyncError as error:
        return {
            "check": name,
            "ok": False,
            "found": error.message,
            "remedy": error.remedy,
            "exit_code": error.exit_code,
        }


def _bad(name: str, error: FlexsyncError) -> dict[str, Any]:
    told = {"found": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
    return {"check": name, "ok": False, **told}


def _check_store(path: Path) -> str:
    if not path.parent.exists():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --store.")
    free = shutil.disk_usage(path.parent).free
    if not path.exists():
        return f"{path} will be made; {free // 2**20} MB free"
    Store.open(path).close()
    return f"{path}, {path.stat().st_size // 2**20} MB, schema {SCHEMA_VERSION}; {free // 2**20} MB free"


def _check_target(target: str) -> str:
    newest = copies.newest([target])
    if newest is None:
        return "not published yet"
    with copies.open(target.partition(":")[2]) as opened:
        return f"run {opened.run.run_id}, {opened.run.status}" if opened.run else "no run in it"


async def _check_server(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with AsyncFlexprice(settings) as api:
        for name, look in (("server", _look_server), ("filters", _look_filters), ("sweep", _look_sweep)):
            try:
                found.append({"check": name, "ok": True, "found": await look(api)})
            except FlexsyncError as error:
                found.append(
                    {
                        "check": name,
                        "ok": False,
                        "found": error.message,
                        "remedy": error.remedy,
                        "exit_code": error.exit_code,
                    }
                )
                break
    return found


async def _look_server(api: AsyncFlexprice) -> str:
    reply = await api.send(calls.search_customers(limit=1, status="published"))
    found = reply.json()
    skew = (datetime.now(UTC) - reply.date).total_seconds() if reply.date else None
    items = found.get("items") or [{}]
    environment = items[0].get("environment_id", "unknown")
    total = found["pagination"]["total"]
    return (
        f"{total} published customers, environment {environment}, clock differs by {skew:.0f} s, {reply.elapsed:.3f} s"
    )


async def _look_filters(api: AsyncFlexprice) -> str:
    future = datetime(9000, 1, 1, tzinfo=UTC)
    reply = await api.send(calls.search_customers(limit=1, filters=[calls.after("created_at", future)]))
    if reply.json()["pagination"]["total"]:
        return "the server ignores filters: listings go by offset, and cost more"
    return "understood"


async def _look_sweep(api: AsyncFlexprice) -> str:
    body = {"subscription_status": ["active", "trialing"], "limit": 1}
    return f"{await total(api, calls.search_subscriptions(body))} subscriptions that count"
