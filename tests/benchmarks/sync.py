"""A first sync of 3,000 customers, 3 calls each, side by side with a bare aiohttp loop over the same bodies.

`python tests/benchmarks/sync.py [RUNS] [CUSTOMERS]` starts its own static server, runs both in turn as whole processes
and prints seconds, the ratio pair by pair, and peak memory. Aim: at most 3 times the loop, at most 250 MB.
Nothing is asserted: machines are shared and noisy.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a process; wall seconds and its own peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(process.stderr.read().decode() if process.stderr else "failed")
    return seconds, usage.ru_maxrss / 1024


def main(runs: int, customers: int) -> None:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "static_server.py"), str(customers)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    base_url = server.stdout.readline().strip()
    environment = {**os.environ, "FLEXPRICE_API_KEY": "bench", "FLEXPRICE_BASE_URL": base_url}
    bare = [sys.executable, str(HERE / "bare.py"), base_url, str(customers)]
    ratios, syncs, bares, peaks = [], [], [], []
    try:
        for _ in range(runs + 1):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "pipelines.cli", "sync", "--store", f"{folder}/bench.duckdb"]
                ours, peak = timed(command, environment)
            loop, _ = timed(bare, environment)
            ratios.append(ours / loop), syncs.append(ours), bares.append(loop), peaks.append(peak)
    finally:
        server.terminate()
    rows = (("sync, s", syncs), ("bare loop, s", bares), ("ratio", ratios), ("sync peak, MB", peaks))
    print(f"{customers} customers x 3 calls, {runs} runs after a warm-up: min / median / max")
    for name, values in rows:
        kept = values[1:]
        print(f"{name:<14} {min(kept):8.2f} {statistics.median(kept):8.2f} {max(kept):8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
