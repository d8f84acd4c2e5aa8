"""The dry run: how many rows and calls a sync would need.

Promised: a handful of calls, and nothing is written anywhere. Never done: loading rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.api import calls
from connector.api.client import Client
from connector.publications import reading as copies
from connector.pull.pages import count_rows
from connector.settings import Sync as SyncSettings
from connector.tables.resources import CHILDREN, chosen


async def estimate(api: Client, settings: SyncSettings, *, full: bool) -> dict[str, Any]:
    """Estimate what a sync would read.

    Args:
        api: an open client.
        settings: [sync]: what to load, and from when.
        full: everything, whatever the cursors say.

    Returns:
        The start of the window, rows by listing, and calls by kind.
    """
    since = None if full else _window_start(settings)
    counts: dict[str, int] = {}
    for status in ("published", "archived"):
        body = {"status": status, "limit": 1, **_changed_since(since)}
        counts[f"customers {status}"] = await count_rows(calls.search_customers(body), api.send) or 0
    body = {"subscription_status": ["active", "trialing"], "limit": 1}
    active = counts["subscriptions that count"] = await count_rows(calls.search_subscriptions(body), api.send) or 0
    pages = sum(-(-rows // calls.PAGE) or 1 for rows in counts.values())
    resources = [name for name in chosen(settings.only) if any(child.name == name for child in CHILDREN)]
    return {
        "since": since.isoformat() if since else None,
        "rows": counts,
        "calls": {
            "listings, about": pages + 8,
            "per customer, at most": active * len(resources),
            "audit sample, calls": settings.audit_sample * 2,
        },
    }


def _changed_since(since: datetime | None) -> dict[str, Any]:
    return {"filters": [calls.after("updated_at", since)]} if since else {}


def _window_start(settings: SyncSettings) -> datetime | None:
    """Return where the next run's window starts; None when it is a full run."""
    if not settings.store.exists():
        return None
    with copies.open(settings.store) as reading:
        cursor = reading.sql("SELECT min(cursor) FROM flexsync.cursors").column(0)[0].as_py()
        return cursor - settings.overlap if cursor else None
