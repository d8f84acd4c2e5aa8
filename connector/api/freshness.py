"""Whether answers are the server's own, or come from a cache that stands before it.

A shared cache may keep the answer to a GET: the key travels in a header of its own, so HTTP's rule for authorized
answers does not forbid it. Every call asks for no stored answer (`NO_CACHE`), but a gateway that is set to cache
everything sends one all the same, with the server's old `Date` and an `Age`.

Promised: an answer older than the overlap is asked for once more, and counted if it stays old; at most `MOST` calls of
a client are asked again, so that a gateway that caches everything does not double a run. A `Date` that is far behind
those of other answers means nothing by itself, because servers' clocks differ: a clock moves on between two answers,
and the `Date` of a stored one does not. Never done: I/O, or dropping an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.api.calls import Call, Reply

__all__ = ["NO_CACHE", "PAUSE", "Cached", "Freshness"]

NO_CACHE = {"cache-control": "no-cache", "pragma": "no-cache"}
MOST = 20  # calls that are asked again
PAUSE = 1.1  # seconds until then: `Date` has whole seconds, so that of a clock is another one


@dataclass
class Cached:
    """The answers that came from a cache before the server.

    Attributes:
        answers: how many.
        oldest: the age of the oldest, in seconds.
        first: the call of the first.
    """

    answers: int = 0
    oldest: int = 0
    first: str = ""

    def plain(self) -> str:
        """Return it as one line, for `add`."""
        return f"{self.answers} {self.oldest} {self.first}"

    def add(self, plain: str) -> None:
        """Add those that an earlier client of the same run met; theirs is the first."""
        answers, oldest, self.first = plain.split(" ", 2)
        self.answers, self.oldest = self.answers + int(answers), max(self.oldest, int(oldest))

    def faults(self) -> list[str]:
        """Return what keeps a run over these answers from being green, in words."""
        if not self.answers:
            return []
        age = timedelta(seconds=self.oldest)
        return [
            f"{self.answers} answers came from a cache before the server, up to {age} old, the first for {self.first}:"
            " let the gateway at base_url store no answers"
        ]


class Freshness:
    """The ages of the answers of one client.

    Args:
        overlap: the age from which an answer is stale: every run reads as far back anyway.

    Attributes:
        cached: answers that stayed old when they were asked for again, or that were no more asked for again.
    """

    def __init__(self, overlap: timedelta) -> None:
        self.cached = Cached()
        self._stale = overlap.total_seconds()
        self._asked = 0
        self._newest: datetime | None = None

    def doubts(self, call: Call, reply: Reply, before: Reply | None) -> bool:
        """Take in an answer, and return whether to ask for it once more, after `PAUSE`.

        Args:
            call: that was answered; a write is never asked again.
            reply: its answer.
            before: its answer that was doubted; None if none was.
        """
        age, behind = _age(reply), self._behind(reply)
        if max(age, behind) <= self._stale or not call.repeatable:
            return False
        if before is None and self._asked < MOST:
            self._asked += 1
            return True
        same = before.date == reply.date if before else bool(self.cached.answers)
        if age > self._stale or same:
            self.cached.answers += 1
            self.cached.oldest = max(self.cached.oldest, age, behind)
            self.cached.first = self.cached.first or f"{call.operation} {call.about}".rstrip()
        return False

    def _behind(self, reply: Reply) -> int:
        """Return the seconds by which an answer's `Date` is behind the newest one so far."""
        if reply.date is None:
            return 0
        self._newest = max(self._newest or reply.date, reply.date)
        return int((self._newest - reply.date).total_seconds())


def _age(reply: Reply) -> int:
    """Return the seconds for which caches have held an answer, as `Age` says; 0 where it says nothing."""
    text = reply.headers.get("age", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
