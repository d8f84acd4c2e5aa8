"""What every fault gets to see of a call: the switches, the route, and the seeded draws.

Promises that the same seed and the same sequence of calls give the same draws. Never acts on a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from connector.sandbox.faults.switches import Faults

__all__ = ["Draw"]


@dataclass(frozen=True, slots=True)
class Draw:
    """One call, as the functions of all moments see it.

    Attributes:
        faults: the switches.
        route: name of the call's route (`routes.NAMES`), so that a fault can be for one endpoint only.
        chance: where draws come from.
    """

    faults: Faults
    route: str
    chance: Random

    def hit(self, share: float) -> bool:
        """One draw: true for `share` of the calls."""
        return share > 0 and self.chance.random() < share
