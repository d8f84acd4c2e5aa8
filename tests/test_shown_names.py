"""No help page, signature, default, repr or traceback of `connector` and `pipelines` shows the key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEY = "sk_01SHOWN8BYxHELPxORxREPRxNEVER"


@pytest.mark.sampled
def test_help_signatures_and_reprs_hold_no_key() -> None:
    """Whatever was evaluated at import, and whatever holds or refuses a key, is printed without it."""
    program = Path(__file__).parent / "shown_names.py"
    env = {**os.environ, "FLEXPRICE_API_KEY": KEY, "COLUMNS": "400"}
    done = subprocess.run([sys.executable, program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "package connector" in done.stdout
    assert "Usage: sync" in done.stdout
    assert len(done.stdout) > 500_000
    found = [line[:200] for line in done.stdout.splitlines() if KEY[3:] in line]
    assert found == []
