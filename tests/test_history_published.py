"""Histories in publications: they grow, and the memory of a store's connection does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from sizes import few
from stores import KINDS, store_in, target

import connector
from connector.publications.publish import publish

FIGURES = 400_000
_LONG = """INSERT INTO flexsync.usage_figures (customer_id, subscription_id, feature_id, run_id, current_usage)
    SELECT 'cust_01K71Y5VDY00000002' || i % 1000, '', 'feat_01K71Y5VDY00000002' || i % 7,
        '20260101T000000Z-' || lpad((i // 7000)::VARCHAR, 6, '0'), i FROM range($n) r(i)"""


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_long_history_is_published_in_little_memory(tmp_path: Path, kind: str) -> None:
    """A whole history is written without being sorted: eleven million figures took more memory than a store has."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute(_LONG, {"n": FIGURES})
        store.db.execute("SET memory_limit = '36MB'")
        publish(store, to)
    with connector.open(to.partition(":")[2]) as copy:
        found = copy.sql("SELECT count(*) AS n, sum(current_usage)::BIGINT AS total FROM flexsync.usage_figures")
    assert found.to_pylist() == [{"n": FIGURES, "total": FIGURES * (FIGURES - 1) // 2}]
