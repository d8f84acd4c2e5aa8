"""`python -m connector.sandbox.nights`: a server that lives a day whenever it is told to, in a process of its own.

Promises its base URL as the first line on stdout, and for every line on stdin one day of life (`data/life.py`), told by
a line with the clock's new time; in between the clock stands. Ends when stdin does. Never prints anything else there.
"""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import datetime

from connector.sandbox import Clock, Sandbox
from connector.sandbox.data.life import Life

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(
        prog="python -m connector.sandbox.nights", description="A FlexPrice server to practise on, night by night."
    )
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=datetime.fromisoformat, required=True, help="the first night, with its zone")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who closes stdin when it has tidied up
    clock = Clock(options.first)
    sandbox = Sandbox(options.customers, options.seed, clock=clock)
    life = Life(sandbox, clock, options.seed)
    with sandbox.running() as base_url:
        _tell(base_url)
        for _ in sys.stdin:
            life.day()
            _tell(clock().isoformat())
    return 0


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
