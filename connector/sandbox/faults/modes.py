"""States of the account that last as long as their switch: a replica that lags, a cache, commits that show up late.

Promises that a switch acts from the next call or change on. Never limited by `endpoint`, `first` or a share. To add
one: a field in `switches.Faults`, its name in `switches.LASTING`, a line here.
"""

from __future__ import annotations

from connector.sandbox.clock import SECOND
from connector.sandbox.data.account import Account
from connector.sandbox.faults.switches import Faults

__all__ = ["set_modes", "start_modes"]


def start_modes(account: Account, faults: Faults) -> None:
    """What can only be switched on at the start: a replica copies an account that nobody has written to."""
    if faults.lag:
        account.add_replica(int(faults.lag * SECOND))


def set_modes(account: Account, faults: Faults) -> None:
    """What follows the switches at any time."""
    account.late = faults.late
    account.cache_lifetime = int(faults.cache * SECOND)
    for side in filter(None, (account, account.replica)):
        side.loose_resets = faults.loose_ties
