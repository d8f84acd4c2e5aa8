"""Planning a file of which 1 % differs from the account: seconds of own work, wall time, and peak memory.

`python tests/benchmarks/import_plan.py [ROWS]` makes an account of ROWS published customers in a sandbox of its own
process and a CSV file of all of them, one in a hundred with another name, then plans it in a process of its own. "Own
work" is that process's CPU time; the rest of the wall time is the sandbox's. Aim: 60 s and 500 MB for a million rows.
Nothing is asserted: machines are shared and noisy.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from connector.push.file.cells import escaped
from connector.push.file.export import COLUMNS
from connector.push.file.record import quoted
from connector.sandbox import Sandbox

SEED = 7


def write_file(path: Path, customers: int) -> int:
    """Every published customer of the account, one in a hundred renamed; returns how many rows."""
    account = Sandbox(customers=customers, seed=SEED).account
    kinds, rows = account.customers.kinds, 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(quoted([*COLUMNS[1:], "metadata.segment"]))
        for number in range(customers):
            if kinds[number]:
                continue
            row, rows = account.customers.row(number), rows + 1
            row["name"] += " (renamed)" if rows % 100 == 0 else ""
            cells = [escaped(row.get(name) or "") for name in COLUMNS[1:]]
            file.write(quoted([*cells, (row["metadata"] or {}).get("segment", "")]))
    return rows


def main(wanted: int) -> None:
    customers = round(wanted * 1.12)  # some are archived
    words = [sys.executable, "-m", "connector.sandbox", "--customers", str(customers), "--seed", str(SEED)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    base_url = server.stdout.readline().strip()
    environment = {**os.environ, "FLEXPRICE_API_KEY": "sandbox", "FLEXPRICE_BASE_URL": base_url}
    try:
        with tempfile.TemporaryDirectory() as folder:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # or its memory would count as the plan's peak
                rows = pool.apply(write_file, (Path(folder) / "customers.csv", customers))
            size = (Path(folder) / "customers.csv").stat().st_size / 2**20
            command = [sys.executable, "-m", "pipelines.cli", "import", "plan", f"{folder}/customers.csv"]
            command += ["--out", f"{folder}/customers.plan"]
            began = time.perf_counter()
            done = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(done.pid, 0)
            wall = time.perf_counter() - began
    finally:
        server.terminate()
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{rows} rows, {size:.0f} MB, 1 % changed; exit {os.waitstatus_to_exitcode(status)}")
    print(f"own work {cpu:6.1f} s CPU   wall {wall:6.1f} s   peak {peak:5.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
