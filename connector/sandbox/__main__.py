"""`python -m connector.sandbox`: a server in a process of its own, for tests that kill things.

Prints the base URL as its first line when it listens. Never prints anything else on stdout.
"""

from __future__ import annotations

import argparse
import sys

from connector.errors import FixInput
from connector.sandbox import Faults, run


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m connector.sandbox", description="A FlexPrice server to practise on."
    )
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--faults", default="", help="latency=50,error_rate=0.05,…")
    parser.add_argument("--subscribed", type=float, help="share of customers with a subscription")
    parser.add_argument("--several", type=float, help="share of those with several")
    options = parser.parse_args(arguments)
    try:
        faults = Faults.parse(options.faults)
        shares = {"subscribed": options.subscribed, "several": options.several}
        run(options.customers, options.seed, options.port, faults, options.host, _announce, **shares)
    except FixInput as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _announce(base_url: str) -> None:
    sys.stdout.write(f"{base_url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
