"""One planned write on its way: what was sent so far, and what is known of it.

Promised: nothing here outlives the process; what must survive is in the journal. Never done: deciding, sending.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.push.account.customer import Customer
from connector.push.apply.journal import Line, What
from connector.push.plan.entry import Entry

__all__ = ["ATTEMPTS", "FRESH", "UNKNOWN", "WRITTEN", "Task"]

ATTEMPTS = 6  # times that a write is sent while its outcome stays unknown
FRESH, UNKNOWN, WRITTEN = "fresh", "unknown", "written"


@dataclass
class Task:
    """One planned write.

    Attributes:
        n: the entry's number in the plan.
        entry: what is planned.
        state: fresh (nothing was sent), unknown (it may have arrived), written (the server said so).
        id: the server's id, once it is known.
        wanted: the customer with all its columns after the write, once it is known.
        sent: times that it was sent.
        looks: looks since it was sent.
        due: moment of `time.monotonic` of the next look.
        attempts: times that it may be sent.
        doubtful: whether an earlier send, or a part of it, may have been carried out.
        late: whether its last turn came too late to be sent.
        taken: whether the server said 409 to a create.
        error: what the server said last.
        request_id: the server's, for its operator.
    """

    n: int
    entry: Entry
    state: str = FRESH
    id: str = ""
    wanted: Customer | None = None
    sent: int = 0
    looks: int = 0
    due: float = 0.0
    attempts: int = ATTEMPTS
    doubtful: bool = False
    late: bool = False
    taken: bool = False
    error: str = ""
    request_id: str = ""

    @property
    def by(self) -> tuple[str, str]:
        """The column and value by which it is looked up."""
        return ("id", self.id) if self.id else ("external_id", self.entry.external_id)

    def line(self, what: What) -> Line:
        """A line for the journal, which adds the time."""
        entry = self.entry
        return Line(
            what, self.n, line=entry.line, do=entry.do,
            external_id=entry.external_id, id=self.id, request_id=self.request_id,
            set=entry.set if what == "intent" else {}, precondition=entry.precondition if what == "intent" else "",
        )  # fmt: skip
