"""The second calls: what failed, what looked suspect, and what was answered while the server was failing.

Promised: an answer is asked for once more when it leaves out a subscription that is still active, when it contradicts
another one about the same customer, when its exchange touched an outage, or when it reads zero without a probe that
vouches for it in a run in which a probe failed; a doubt that stays is recorded, and the run is degraded. Subscriptions
that answers leave out are read again in batches, and the answers judged once more, before anything is asked again.
Never done: a second call for an isolated error.
"""

from __future__ import annotations

import asyncio

from connector.api import calls
from connector.api.outages import MARGIN
from connector.pull.probes import Health
from connector.pull.windows import Run
from connector.store import crosscheck, doubts
from pipelines.sync.calling import DOWN, commit_answers, make_calls, new_ingest, queue_calls, was_down
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.moments import by_outage, give_up, touched, unprobed
from pipelines.sync.session import Session

PAUSE = 0.5  # seconds between calls that show that an outage is over


async def make_second_calls(session: Session, run: Run, accept_lower: frozenset[str]) -> None:
    """Decide which answers are doubtful, make the second calls, and record which doubts stay.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
    """
    await session.prober.before_second_calls()
    await _judge_incomplete_again(session, run, accept_lower, reread=False)  # the closing pass may explain them
    await _judge_incomplete_again(session, run, accept_lower)
    await session.in_store(_queue_doubtful, session, run)
    agreed = False
    for _ in range(2):  # a second answer may contradict one that nobody doubted before
        await session.in_store(_queue_contradicting, session, accept_lower)
        agreed = not session.store.waiting("again")
        if agreed:
            break
        await _ask_again(session, run, accept_lower)
    await session.in_store(_leave_doubts, session, run, accept_lower, agreed)


async def _ask_again(session: Session, run: Run, accept_lower: frozenset[str]) -> None:
    await _wait_out_an_outage(session)
    await make_calls(session, run, accept_lower, second=True)
    await _judge_incomplete_again(session, run, accept_lower, final=True)


def settle(session: Session, run: Run) -> None:
    """Decide what is known before a run is interrupted: the moments of its answers mean nothing to the next process."""
    if session.prober.probes.down:
        session.store.step_done(run, DOWN)
    with session.store.transaction() as db:
        give_up(session, db)


async def _judge_incomplete_again(
    session: Session, run: Run, accept_lower: frozenset[str], *, reread: bool = True, final: bool = False
) -> None:
    """Judge answers that left out a subscription once more, now that it may have ended.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        reread: read those subscriptions by id before.
        final: these are second answers.
    """
    results, session.incomplete = session.incomplete, []
    if not results:
        return
    if reread:
        await load_by_ids(session, run, "subscriptions", sorted(session.left_out))
        await queue_calls(session, run)  # answers made for those that ended are outdated, also if they come back
    session.left_out.clear()
    await commit_answers(session, run, new_ingest(session, run, accept_lower), results, final=final)
    if reread:
        session.incomplete.clear()  # still incomplete: nothing more can explain them


def _queue_doubtful(session: Session, run: Run) -> None:
    # While the analytics store is still down, a second call would say zero again.
    zeros = was_down(session, run) and session.prober.probes.last is not Health.DOWN
    with session.store.transaction() as db:
        doubts.ask_again(db, by_outage(session, db), doubts.OUTAGE)
        if zeros:
            doubts.ask_again(db, unprobed(session, doubts.reading_zero(db)), doubts.UNPROBED)


def _queue_contradicting(session: Session, accept_lower: frozenset[str]) -> None:
    with session.store.transaction() as db:
        doubts.ask_again(db, crosscheck.contradicting(db, accept_lower), crosscheck.CONTRADICTED)


def _leave_doubts(session: Session, run: Run, accept_lower: frozenset[str], agreed: bool) -> None:
    """Record which doubts stay; `agreed`: no answers contradict each other, so they need not be compared again."""
    down = was_down(session, run)
    with session.store.transaction() as db:
        doubts.leave(db, touched(session, doubts.answered(db)), doubts.OUTAGE)
        zeros = unprobed(session, doubts.reading_zero(db)) if "usage" in run.resources else []
        if down:
            doubts.leave(db, zeros, doubts.UNPROBED)
        if not agreed:
            doubts.leave(db, crosscheck.contradicting(db, accept_lower), crosscheck.CONTRADICTED)
        doubts.settle_zeros(db, run.run_id, zeros)


async def _wait_out_an_outage(session: Session) -> None:
    """Return when answers are no longer doubtful; it takes answered calls to see that an outage is over."""
    outages = session.api.outages
    while outages.open:
        await session.api.send(calls.search_customers(limit=1))
        await asyncio.sleep(PAUSE)
    if outages.episodes:
        ended = outages.episodes[-1][1] or 0.0
        await asyncio.sleep(max(0.0, ended + MARGIN - session.monotonic()))
