"""Outage episodes: spans of time in which the server failed as a whole, so that answers given in them are doubtful.

A server whose database goes away answers 200 with half of the data in the seconds around it (contract.md section 11).
So whoever keeps answers asks `touched`, after later failures have had the time to show what an answer was close to.

An episode begins at either sign, if the failures are about `CUSTOMERS` customers or more (a connection that cannot be
made is no customer's fault, so each counts as one):

- failures outnumber answers by `LEAD` since they were last even, over all calls or those of one endpoint class;
- nothing was answered for `SILENCE`, in which `ROW` calls or more failed.

Its beginning is the start of the first exchange that failed of these. The first sign counts calls and not seconds:
"five failures, half of all, within a second" is met by chance in runs of about ten calls a second (at 5 % isolated
errors once in 100,000 calls), and can never be met by a run that makes two. The second sign is for such slow runs.
With 5 % isolated errors, at 10 calls a second or 400 one of them was met once in 3 million calls; at two a second
once in 20,000, which then costs a dozen calls.

It ends with its second clean second. A second is clean when calls were answered in it, and more than failed. A second
in which no call ended says nothing: it is not clean, and does not undo the clean one before it. A probe is a call like
any other: if it alone is made in a second, and answered, that second is clean.

Promised: within a second, the order of exchanges makes no difference where failures outnumber answers by `LEAD` (there
is an episode), nor where fewer than `ROW` failed (there is none). Never done: I/O, waiting, taking a 429 for a failure,
or counting an endpoint class that never answered: nothing of it can have gone away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = ["Episode", "Outages", "Outcome"]

LEAD = 6  # failures more than answers
ROW = 3  # failures with no answer between them, from the first to the last at least SILENCE
SILENCE = 1.0  # seconds
CUSTOMERS = 3  # one customer whose calls always fail is no outage, nor are two
CLEAN = 2  # clean seconds that end an episode
MARGIN = 2.0  # seconds before and after an episode in which answers are doubtful

Episode = tuple[float, float | None]  # begin and end, by the clock; no end yet


class Outcome(Enum):
    """How an exchange went: the server did its work, failed at it, could not be connected to, or put it off (429)."""

    ANSWERED = auto()
    FAILED = auto()
    UNCONNECTED = auto()
    DEFERRED = auto()


@dataclass(slots=True)
class _Streak:
    """Failures since they last were no more than the answers."""

    lead: int = 0
    began: float = 0.0  # the start of the first failed exchange
    ended: float = 0.0  # the end of the one that ended first
    customers: set[str] = field(default_factory=set)

    def answered(self) -> None:
        """Let an answer make up for a failure."""
        if self.lead:
            self.lead -= 1

    def failed(self, began: float, ended: float, customer: str) -> None:
        """Count a failure."""
        if not self.lead:
            self.began, self.ended, self.customers = began, ended, set()
        self.lead += 1
        self.began = min(self.began, began)
        if customer:
            self.customers.add(customer)

    def is_outage(self, least: int) -> bool:
        """Whether failures lead by `least`, and not because of a few customers."""
        return self.lead >= least and len(self.customers) >= CUSTOMERS


class Outages:
    """The episodes of one run.

    Args:
        clock: seconds, never going back; the clock of the moments that `note` gets.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all = _Streak()
        self._unanswered = _Streak()  # failures with no answer between them
        self._classes: defaultdict[str, _Streak] = defaultdict(_Streak)
        self._worked: set[str] = set()
        self._episodes: list[Episode] = []
        self._open = False
        self._second = 0.0  # the running second of an open episode
        self._counts: list[int] | None = None  # its answers and failures; None: none was answered since the failures
        self._clean = 0

    def note(self, began: float, ended: float, outcome: Outcome, about: str = "", endpoint: str = "") -> bool:
        """Take in one exchange, in the order in which they end.

        Args:
            began: when it started.
            ended: when its answer, or its failure, was complete.
            outcome: how it went.
            about: the customer's id, or nothing when it is about none.
            endpoint: its endpoint class.

        Returns:
            Whether the server is failing as a whole: an episode begins, or fails again before it ended.
        """
        if outcome is Outcome.DEFERRED:
            return False
        if outcome is Outcome.ANSWERED:
            self._worked.add(endpoint)
            self._unanswered.lead = 0
            self._all.answered()
            self._classes[endpoint].answered()
        elif endpoint not in self._worked:
            return False
        if self._open:
            self._settle(ended)
            self._count(ended, outcome is Outcome.ANSWERED)
        return outcome is not Outcome.ANSWERED and self._failed(began, ended, outcome, about, endpoint)

    def declare(self, since: float) -> None:
        """Begin an episode at `since`, because a call failed and another call that must work failed as well."""
        self._all, self._unanswered, self._counts, self._clean = _Streak(), _Streak(), None, 0
        self._classes.clear()
        if self._open:
            since = min(since, self._episodes.pop()[0])
        self._open = True
        self._episodes.append((since, None))

    @property
    def open(self) -> bool:
        """Whether an episode has begun and not ended."""
        if self._open:
            self._settle(self._clock())
        return self._open

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """All episodes, oldest first; the last one has no end while it is open."""
        _ = self.open  # the last one may have ended by now
        return tuple(self._episodes)

    def touched(self, began: float, ended: float, margin: float = MARGIN) -> bool:
        """Whether an exchange touches an episode.

        What is not yet known at its end is known a little later: a call answered just before the server failed is told
        from others by the failures that follow. So ask this again, when the calls of a run have ended.

        Args:
            began: when it started; for an answer `Reply.began`.
            ended: when it ended.
            margin: seconds by which each episode is longer, on both sides.
        """
        _ = self.open  # an episode may have ended by now
        for first, last in reversed(self._episodes):
            if last is not None and last + margin < began:
                return False
            if first - margin <= ended:
                return True
        return False

    def covers(self, moment: float) -> bool:
        """Whether an episode runs at `moment`."""
        return self.touched(moment, moment, 0.0)

    def _failed(self, began: float, ended: float, outcome: Outcome, about: str, endpoint: str) -> bool:
        customer = about if outcome is Outcome.FAILED else f"connection {began}"
        busy = (self._all, self._classes[endpoint])
        for streak in (*busy, self._unanswered):
            streak.failed(began, ended, customer)
        found = [streak.began for streak in busy if streak.is_outage(LEAD)]
        if ended - self._unanswered.ended >= SILENCE and self._unanswered.is_outage(ROW):
            found.append(self._unanswered.began)
        if found:
            self.declare(min(found))
        return bool(found)

    # --- the end of an episode ------------------------------------------------------------------------------------

    def _count(self, ended: float, answered: bool) -> None:
        if self._counts is None:
            if not (answered and self._open):
                return
            self._second, self._counts = ended, [0, 0]
        self._counts[0 if answered else 1] += 1

    def _settle(self, now: float) -> None:
        """Judge the running second, if it is over by `now`."""
        if self._counts is None or now < self._second + 1.0:
            return
        answered, failed = self._counts
        if answered > failed:
            self._clean += 1
        elif failed:
            self._clean = 0
        if self._clean == CLEAN:
            self._episodes[-1] = (self._episodes[-1][0], self._second + 1.0)
            self._open, self._counts, self._clean = False, None, 0
            return
        self._second, self._counts = self._second + (now - self._second) // 1.0, [0, 0]
