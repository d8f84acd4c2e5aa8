"""The store's memory limit: what works on a whole table takes no more of it than what works on a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.pull.watermarks import WALKS
from connector.pull.windows import Beginning
from connector.store import opening
from connector.store.store import Store

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)
CUSTOMERS = 200_000
FILL = f"""INSERT INTO customers (id, external_id, name, email, metadata, environment_id, tenant_id, status, created_at,
        updated_at, run_id, observed_at)
    SELECT 'cust_' || lpad(i::VARCHAR, 26, '0'), 'acct-' || i, 'Customer ' || i, 'billing' || i || '@example.com',
        MAP {{'tier': 'gold'}}, 'env_1', 't', 'published', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', 'r0',
        '2025-01-01T00:00:00Z'
    FROM range({CUSTOMERS}) r(i)"""


@pytest.mark.sampled
def test_a_store_of_an_older_version_begins_its_histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a third of the limit, 200,000 customers get their first versions in the transaction that begins the run."""
    monkeypatch.setattr(opening, "MEMORY", "64MB")
    with Store.open(tmp_path / "work.duckdb") as store:
        with store.transaction() as db:
            db.execute(FILL)
        beginning = Beginning(NOW, NOW, dict.fromkeys(WALKS, NOW))
        store.begin(beginning, ("customers",), full=False, full_every=7 * DAY, overlap=DAY, version="0.2.0")
        assert store.count("SELECT count(DISTINCT id) FROM flexsync.customers_versions") == CUSTOMERS
