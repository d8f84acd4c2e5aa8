"""When a call may start: a ceiling of starts per second, and the pauses that the server asks for.

Promised: no second holds more starts than the ceiling; pauses without an answer between them count as one stretch.
Never done: waiting: `delay` says how long, the gate waits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

__all__ = ["Pacing"]

LEAST_PAUSE = 0.1  # seconds: `Retry-After: 0` must not become a busy loop


class Pacing:
    """The pace of one run.

    Args:
        calls_per_second: starts in any second at most, or None. A fraction is kept over a longer span.
        clock: seconds, never going back.
    """

    def __init__(self, calls_per_second: float | None, clock: Callable[[], float]) -> None:
        self.ceiling = calls_per_second
        self._clock = clock
        # The times of the last starts are kept: any span of n/rate seconds may hold n starts, and never n + 1.
        many = max(1, math.ceil(calls_per_second)) if calls_per_second else 0
        self._span = many / calls_per_second if calls_per_second else 0.0
        self._starts: deque[float] = deque(maxlen=many)
        self._resume_at = -math.inf
        self._paused_since: float | None = None
        self._pause_mark = 0  # calls started before the newest pause; their answers do not end its stretch

    def started(self, now: float) -> None:
        """Note that a call starts."""
        self._starts.append(now)

    def answered(self, number: int) -> None:
        """Note that call `number` was answered: if it started after the pause, the stretch of pauses is over."""
        if self._paused_since is not None and number > self._pause_mark:
            self._paused_since = None

    def delay(self) -> float:
        """Return the seconds until a call may start."""
        if self._resume_at == -math.inf and not self.ceiling:
            return 0.0
        now = self._clock()
        full = self.ceiling and len(self._starts) == self._starts.maxlen
        return max(self._resume_at - now, self._starts[0] + self._span - now if full else 0.0, 0.0)

    @property
    def pausing(self) -> bool:
        """Whether a pause is running."""
        return self._resume_at > self._clock()

    def pause(self, seconds: float, started: int, longest: float) -> float:
        """Let no call start for `seconds`.

        Args:
            seconds: as the server asked.
            started: calls started so far.
            longest: seconds that one stretch of pauses may last; a longer one is not begun.

        Returns:
            The seconds of the stretch, from its first pause to the end of this one.
        """
        now = self._clock()
        since = now if self._paused_since is None else self._paused_since
        until = max(self._resume_at, now + max(seconds, LEAST_PAUSE))
        if until - since <= longest:
            self._paused_since, self._resume_at, self._pause_mark = since, until, started
        return until - since
