"""Lets processes sleep under libfaketime; `.ci/dates` puts this folder on PYTHONPATH.

The monotonic clock stays the real one there, for locks wait by it. libfaketime then refuses `clock_nanosleep`, by which
`time.sleep` waits; `select` waits as long and wakes for signals alike.
"""

from __future__ import annotations

import os
import select
import time


def sleep(seconds: float) -> None:
    """Wait, as `time.sleep` does."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


if os.environ.get("FAKETIME"):
    time.sleep = sleep
