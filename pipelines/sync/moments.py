"""The moments of answers, by the clock of this process: which an outage touched, which zeros no probe vouches for.

Promised: what this process knows of its answers is in the store with the next commit, so that the process that takes
over an interrupted run asks again for what the dead one would have asked for again. Never done: making a call.
"""

from __future__ import annotations

from collections.abc import Iterable

from connector.api.outages import MARGIN
from connector.store import doubts
from connector.store.database import Database
from connector.store.doubts import Moments
from pipelines.sync.probing import INTERVAL, TIMEOUT
from pipelines.sync.session import Session

LATE = 60.0  # seconds after an outage in which answers that touched it may still be committed


def touched(session: Session, answered: Iterable[Moments]) -> list[int]:
    """Return the items of the answers that touched an outage."""
    outages = session.api.outages
    if not outages.episodes:
        return []
    return [item for item, began, ended in answered if began and ended and outages.touched(began, ended)]


def unprobed(session: Session, answered: Iterable[Moments]) -> list[int]:
    """Return the items of the answers that no probe of this process vouches for."""
    probes = session.prober.probes
    return [
        item for item, began, ended in answered if began is None or ended is None or not probes.vouch_for(began, ended)
    ]


def by_outage(session: Session, db: Database) -> list[int]:
    """Return the items of the answers that touched an outage, of this process or, as it recorded, of an earlier one."""
    return [*touched(session, doubts.answered(db)), *doubts.left(db, doubts.OUTAGE)]


def record_outages(session: Session) -> None:
    """Record which answers touched an outage; call this after each commit. It costs nothing where there was none."""
    episodes = session.api.outages.episodes
    new = episodes[session.outages_recorded :]
    if not new:
        return
    with session.store.transaction() as db:
        answered = doubts.answered(db, since=new[0][0] - MARGIN)
        doubts.leave(db, touched(session, answered), doubts.OUTAGE)
    over = session.monotonic() - LATE
    session.outages_recorded += sum(ended is not None and ended < over for _, ended in new)


def give_up(session: Session, db: Database) -> None:
    """Queue the second calls that a process which stops now would have made, and forget the moments of its clock."""
    doubts.ask_again(db, by_outage(session, db), doubts.OUTAGE)
    if session.prober.wanted:
        last = session.prober.probes.last_sent
        zeros = [item for item, _, ended in doubts.reading_zero(db) if ended is not None and ended > last]
        doubts.ask_again(db, sorted({*zeros} - session.asked_twice), doubts.UNPROBED)  # or short runs never end
    doubts.forget_moments(db)


def take_over(session: Session, db: Database) -> None:
    """Queue the second calls that the process which began this run would have made, had it not been killed.

    It recorded outages with each commit, and failed probes. What its next probe would have said of its newest zeros
    nobody knows: they are asked for again.
    """
    doubts.ask_again(db, doubts.left(db, doubts.OUTAGE), doubts.OUTAGE)
    moments = [moment for _, _, moment in doubts.answered(db) if moment is not None]
    if session.prober.wanted and moments:
        newest = max(moments) - INTERVAL - TIMEOUT
        zeros = [item for item, _, ended in doubts.reading_zero(db) if ended is not None and ended >= newest]
        doubts.ask_again(db, zeros, doubts.UNPROBED)
    doubts.forget_moments(db)
    session.asked_twice.update(doubts.waiting(db, doubts.UNPROBED))
