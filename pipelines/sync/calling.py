"""The calls per customer: usage, entitlements and upcoming grants, by a fan-out over the work queue.

Promised: whoever has an active subscription, or lost one since the last answer, is called; a random sample of the
others is called too, and when it finds rows that no subscription explains, everybody is; while usage is read, the
analytics store is probed. Never done: sending faster than the client's gate allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from connector.api.calls import Call, Reply
from connector.pull.fan_out import FanOut
from connector.pull.windows import Run
from connector.pull.work import Item, Result
from connector.store import queue
from connector.store.ingest import Ingest, Ingested
from connector.tables.resources import RESOURCES
from pipelines.sync.lookup import load_subscriptions_of
from pipelines.sync.moments import record_outages, take_over
from pipelines.sync.session import Session

KEPT = 1000  # incomplete answers that are kept to be judged once more; others are simply asked for again
DOWN = "analytics store was down"  # the step of a run in which a probe failed: a later process has to know it


def per_customer(run: Run) -> list[str]:
    """Return the resources of the run that are asked for one customer at a time."""
    return [name for name in run.resources if RESOURCES[name].call]


async def call_customers(session: Session, run: Run, accept_lower: frozenset[str], audit_sample: int) -> None:
    """Queue and make the calls of everybody who needs them; then look at what the audit sample found.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        audit_sample: how many of the customers without a need are called besides.
    """
    if not per_customer(run):
        return
    store = session.store
    if run.resumed:
        await session.in_store(_take_over, session)
    sample = 0 if store.done(run, "queued") else audit_sample
    await queue_calls(session, run, sample)
    await session.step_done(run, "queued")
    await make_calls(session, run, accept_lower)
    unexpected = store.facts(queue.audit_hits)
    if unexpected and not session.found.every_customer:
        await _explain(session, run, unexpected)
        await queue_calls(session, run)
        await make_calls(session, run, accept_lower)


async def queue_calls(session: Session, run: Run, sample: int = 0) -> None:
    """Queue the calls that this run still needs, and a random `sample` of customers that need none."""
    await session.in_store(session.store.fill_queue, run, sample=sample, everyone=session.found.every_customer)


async def make_calls(session: Session, run: Run, accept_lower: frozenset[str], *, second: bool = False) -> None:
    """Make the queued calls, or those that have to be made a second time, and commit their answers.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        second: make the second calls: what fails or looks suspect now stays so in this run.
    """
    state = "again" if second else "pending"
    waiting = session.store.waiting(state)
    if not waiting:
        return
    for name, total in waiting.items():
        session.progress.step(name, total)
    ingest = new_ingest(session, run, accept_lower)

    async def take(resource: str, beyond: int, count: int) -> list[Item]:
        return await session.in_store(session.store.take, resource, state, beyond, count)

    async def send(call: Call) -> Reply:
        if call.endpoint == "usage":
            await session.prober.before_usage()
        else:
            await session.prober.meanwhile()
        return await session.api.send(call)

    async def commit(results: Sequence[Result]) -> None:
        await remember_probes(session, run)
        ingested = await commit_answers(session, run, ingest, results, final=second)
        await session.in_store(record_outages, session)
        _count(session, ingested, results)

    fan = FanOut(take, send, commit, session.clock, session.api.gate.max_in_flight)
    await fan.run([name for name in run.resources if name in waiting])
    await session.prober.after_usage()  # now: a stop that begins and ends before a later probe would stay unseen
    await remember_probes(session, run)


def new_ingest(session: Session, run: Run, accept_lower: frozenset[str]) -> Ingest:
    """Return what ingests the answers of one pass."""
    return Ingest(session.store.db, run.run_id, session.store.tombstones, accept_lower)


async def commit_answers(
    session: Session, run: Run, ingest: Ingest, results: Sequence[Result], *, final: bool = False
) -> Ingested:
    """Commit answers; those that leave out a subscription are kept, until it was read again (see `doubting`)."""
    ingested = await session.in_store(session.store.commit_answers, run, ingest, results, final=final)
    if len(session.incomplete) < KEPT:
        session.incomplete += ingested.incomplete
        session.left_out |= ingested.left_out
    return ingested


async def remember_probes(session: Session, run: Run) -> None:
    """Record in the store that a probe failed in this run."""
    if session.prober.probes.down and not session.store.done(run, DOWN):
        await session.step_done(run, DOWN)


def was_down(session: Session, run: Run) -> bool:
    """Return whether a probe of this run said that the analytics store was down, in another process too."""
    return bool(session.prober.probes.down) or session.store.done(run, DOWN)


def _take_over(session: Session) -> None:
    with session.store.transaction() as db:
        take_over(session, db)


async def _explain(session: Session, run: Run, customer_ids: Sequence[str]) -> None:
    """Read the subscriptions of customers of the sample that had rows; where none explains them, call everybody."""
    await load_subscriptions_of(session, run, customer_ids)
    active = {row[0] for row in session.store.rows("SELECT DISTINCT customer_id FROM flexsync.sweep")}
    if set(customer_ids) - active:
        session.found.every_customer = True
        session.note(
            f"every customer is called, because {customer_ids[0]} has rows but no active subscription that gives them"
        )


def _count(session: Session, ingested: Ingested, results: Sequence[Result]) -> None:
    session.unchanged += ingested.unchanged
    session.unknown_fields.update(ingested.unknown)
    for name, number in Counter(result.item.resource for result in results).items():
        session.progress.advance(name, number)
