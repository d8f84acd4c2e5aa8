"""What holds for every test: how hypothesis draws, and which seed the sampled proofs have."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sizes
from hypothesis import settings

from connector.store import opening

# The same examples on every machine, and no time limit for one of them, for a machine may be busy. Other examples for
# each commit are what `-m sampled` is for (`sizes.py`).
settings.register_profile("flexsync", max_examples=sizes.examples(100), deadline=None, derandomize=True, database=None)
settings.load_profile("flexsync")

WHOLE = ("test_notebooks.py",)
"""Files whose sampled tests run for every seed."""
SHARE, PAGES = 40, 3
"""One of so many further tests is drawn, and one of so many pages of docs/."""


def pytest_report_header() -> str:
    """Name the seed, so that a failure of `-m sampled` can be repeated."""
    return f"sampled proofs: FLEXSYNC_TEST_SEED={sizes.TEXT!r}, which is seed {sizes.SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave full sizes to `-m thorough`. Where a seed is given, as in CI, draw a part of what `-m sampled` adds.

    Proofs that have a size of their own, and the files of `WHOLE`, run for every seed. Of the others, variants of what
    the default suite shows and the pages, a part is drawn, another one for each commit.
    """
    if config.getoption("markexpr") != "sampled":
        return
    runs = {item: not item.get_closest_marker("thorough") and (not sizes.TEXT or _is_drawn(item)) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not runs[item]])
    items[:] = [item for item in items if runs[item]]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what collecting made: it stays until the end, and is searched often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    """Let it clear up again: a library that still has objects when the process ends prints that they leaked."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _copied_stores() -> Iterator[None]:
    """Copy new stores from one that each process makes as the product does: its four hundred statements take long."""
    made = opening.connect

    @cache
    def empty() -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "empty.duckdb"
            db = made(path)
            opening.prepare(db, path)
            opening.detach(db)
            db.close()
            return path.read_bytes()

    def connect(path: Path) -> Any:
        if not path.exists():
            with suppress(OSError):  # a folder that cannot be written, or a full disk: the product says so
                path.write_bytes(empty())
        return made(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "connect", connect)
        yield


def _is_drawn(item: pytest.Item) -> bool:
    sized = "size" in getattr(item, "fixturenames", ()) or item.path.name in WHOLE
    share = PAGES if item.path.name == "test_docs.py" else SHARE
    return sized or sha256(f"{sizes.SEED} {item.nodeid}".encode()).digest()[0] % share == 0
