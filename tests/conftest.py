"""What holds for every test: how hypothesis draws, and which seed the sampled proofs have."""

from __future__ import annotations

import sizes
from hypothesis import settings

# The same examples on every machine, and no time limit for one of them, for a machine may be busy. Other examples for
# each commit are what `-m sampled` is for (`sizes.py`).
settings.register_profile("flexsync", max_examples=sizes.examples(100), deadline=None, derandomize=True, database=None)
settings.load_profile("flexsync")


def pytest_report_header() -> str:
    """Name the seed, so that a failure of `-m sampled` can be repeated."""
    return f"sampled proofs: FLEXSYNC_TEST_SEED={sizes.TEXT!r}, which is seed {sizes.SEED}"
