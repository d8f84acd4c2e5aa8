"""A small sync from a cassette: no server, no network, the same tables.

To record anew: ``pytest tests/test_sync_cassette.py --record-mode=rewrite``. The cassette holds no key and no port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tapes import CONFIG, account, address, scrubbed

from connector.api.client import Client
from connector.pull import windows
from connector.sandbox import Key
from connector.settings import load
from connector.store.store import Store
from pipelines.summary import Report
from pipelines.sync import Sync

KEY = "sk_MARKER0123456789SYNC"
CUSTOMERS = 12


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture
def base_url(record_mode: str) -> Iterator[str]:
    yield from address(record_mode, account(CUSTOMERS, {KEY: Key()}))


async def _sync(base_url: str, path: Path) -> Report:
    settings = load(environ={}, base_url=base_url, api_key=KEY, store=path)
    with Store.open(path) as store:
        async with Client(settings) as api:
            return await Sync(settings.sync, api, store).run()


@pytest.mark.vcr
@pytest.mark.block_network
def test_a_small_sync_from_a_cassette(
    base_url: str, vcr: Any, record_mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replayed with the network blocked, a first sync ends green and holds what a live sandbox would have given."""
    monkeypatch.setattr(windows.secrets, "token_hex", lambda _: "c0ffee")  # the proof's windows follow the run id
    report = asyncio.run(_sync(base_url, tmp_path / "work.duckdb"))
    assert (report.status, report.reasons) == ("green", [])
    recorded = account(CUSTOMERS, {KEY: Key()})
    with Store.open(tmp_path / "work.duckdb") as store:
        held = {row[0] for row in store.rows("SELECT id FROM customers")}
        used = {row[0] for row in store.rows("SELECT DISTINCT customer_id FROM usage")}
    assert held == {*recorded.customer_ids("published"), *recorded.customer_ids("archived")}
    assert used == set(recorded.active_customer_ids())
    assert len(used) > 3
    if record_mode == "none":
        assert vcr.all_played, "a recorded request was not made again"


def test_the_cassette_holds_no_key() -> None:
    """The marker key was scrubbed before the cassette was written."""
    assert scrubbed("test_sync_cassette")
