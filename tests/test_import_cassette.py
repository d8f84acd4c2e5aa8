"""A small import from a cassette: plan, apply, and the undo's plan, byte for byte as they were recorded.

To record anew: ``pytest tests/test_import_cassette.py --record-mode=rewrite``. The cassette holds no key and no port.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tapes import CONFIG, account, address, scrubbed

from connector.push.apply.orders import Pace
from connector.sandbox import Key
from connector.settings import load
from pipelines import import_customers as job

KEY = "sk_MARKER0123456789IMPORT"
FILE = """external_id,name,email,contact,metadata.tier
acct-0000001,Renamed,,\\N,gold
new-1,"Ünï ""q"", <x>",one@new.example,+15550100,
acct-0000003,,,,
bad-1,Bad,nobody,,
"""


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture
def base_url(record_mode: str) -> Iterator[str]:
    yield from address(record_mode, account(12, {KEY: Key()}))


@pytest.mark.vcr
@pytest.mark.block_network
def test_a_small_import_from_a_cassette(base_url: str, vcr: Any, record_mode: str, tmp_path: Path) -> None:
    """With the network blocked, plan, apply and undo send the very requests that were recorded, and end as planned."""
    settings = load(environ={}, base_url=base_url, api_key=KEY, onboarding="skip")
    (tmp_path / "c.csv").write_text(FILE, encoding="utf-8")
    found = job.plan(settings, tmp_path / "c.csv", tmp_path / "c.plan")
    counts = found.counts
    assert (counts.create, counts.update, counts.unchanged, counts.invalid) == (1, 1, 1, 1)
    done = job.apply(settings, tmp_path / "c.plan", job.Confirmed(yes=True), pace=Pace(looks=(0.0, 0.01)))
    assert done.tally.outcomes == {"done": 2}
    back = job.undo_run(settings, done.plan.header.run, tmp_path / "undo.plan")
    assert (back.counts.update, back.counts.archive) == (1, 1)
    if record_mode == "none":
        assert vcr.all_played, "a recorded request was not made again"


def test_the_cassette_holds_no_key() -> None:
    """The marker key was scrubbed before the cassette was written."""
    assert scrubbed("test_import_cassette")
