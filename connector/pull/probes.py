"""Probes of the server's analytics store, and which usage answers they vouch for.

While the store is down, usage answers 200 with zeros, and GET /events answers 500 in the same second (contract.md 12).
Promised: only the texts that contract.md names mean that the store is down; an answer is probed only if the store was
up in every probe from the last one that was over before it to the first one that began after it. Never done: I/O,
reading a clock, taking a zero for proven: a probe does not see one table, one query, or a second between two probes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import Enum, auto

__all__ = ["DOWN_TEXTS", "Health", "Probes", "health_of"]

DOWN_TEXTS = ("Failed to count events", "Failed to execute usage query")  # contract.md 12
_NO_PROBE = frozenset({400, 403, 404, 405, 501})  # the key may not read events, or the server has none


class Health(Enum):
    """What a probe says: the store is up, or down; nothing; or that this server has no such probe."""

    UP = auto()
    DOWN = auto()
    UNKNOWN = auto()
    ABSENT = auto()


def health_of(status: int, text: str) -> Health:
    """Return what a failed probe says.

    Args:
        status: HTTP status; 0 when no answer came.
        text: what the server said.
    """
    if status == 500 and any(said in text for said in DOWN_TEXTS):
        return Health.DOWN
    return Health.ABSENT if status in _NO_PROBE else Health.UNKNOWN


class Probes:
    """The probes of one process, in the order in which they were made, one at a time.

    Attributes:
        last: what the newest one said, or None.
        down: how many said that the store is down.
    """

    def __init__(self) -> None:
        self.last: Health | None = None
        self.down = 0
        self._sent: list[float] = []
        self._received: list[float] = []
        self._not_up = [0]  # how many of the first n were not up

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def last_sent(self) -> float:
        """When the newest probe was sent, in seconds; minus infinity before the first."""
        return self._sent[-1] if self._sent else float("-inf")

    def add(self, sent: float, received: float, health: Health) -> None:
        """Take in a probe.

        Args:
            sent: when it was sent, in seconds of the clock of the answers' moments.
            received: when its answer was complete.
            health: what it says.
        """
        self._sent.append(sent)
        self._received.append(received)
        self._not_up.append(self._not_up[-1] + (health is not Health.UP))
        self.last = health
        self.down += health is Health.DOWN

    def vouch_for(self, began: float, ended: float) -> bool:
        """Return whether an answer is probed.

        A probe that ran at the same time as the answer counts only with others around: nobody knows at which moment of
        its own it looked at the store.

        Args:
            began: when the answer's exchange started.
            ended: when it was complete.
        """
        before = bisect_right(self._received, began) - 1
        after = bisect_left(self._sent, ended)
        if before < 0 or after == len(self._sent):
            return False
        return self._not_up[after + 1] == self._not_up[before]
