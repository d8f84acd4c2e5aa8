"""The apply job: does what a plan says, once it is confirmed.

Promised: plan, account, files and confirmation are checked before anything is written; results and `rejected.csv` are
written even when the run breaks off. Never done: deciding what happens to a row (see `connector.push.apply`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from connector.api.client import Client
from connector.clock import Clock, exact_now
from connector.files import set_aside
from connector.plurals import counted
from connector.push.account.customer import total
from connector.push.apply.apply import Apply
from connector.push.apply.journal import Journal, read
from connector.push.apply.left import left_of
from connector.push.apply.orders import Orders, Pace
from connector.push.apply.rejected import write_rejected
from connector.push.apply.results import results, write_results
from connector.push.apply.undo import can_be_undone
from connector.push.plan.counts import customers_written
from connector.push.plan.guards import Limits
from connector.push.plan.planfile import Plan
from connector.settings import Import, Settings
from connector.store.store import Store
from pipelines.artifacts import alone, check_not_undone, check_rejected, results_of
from pipelines.confirm import Confirmed, confirm, go_on, limits, quietly
from pipelines.import_customers.account import Account, check_environment
from pipelines.import_customers.applied import Applied
from pipelines.progress import Progress
from pipelines.runner import run

__all__ = ["apply"]


def apply(
    settings: Settings,
    path: Path,
    confirmed: Confirmed,
    *,
    canary: int = 0,
    max_failures: int | None = None,
    results_to: Path | None = None,
    rejected_to: Path | None = None,
    store: Path | None = None,
    pace: Pace | None = None,
    undo_flags: str = "",
    progress: Progress | None = None,
    clock: Clock = exact_now,
) -> Applied:
    """Do what a plan says, and no more; run again, it continues where it was.

    Args:
        settings: account and [import].
        path: the plan.
        confirmed: what was said, and who can be asked.
        canary: write so many first, read them back, then ask.
        max_failures: stop after so many refused rows.
        results_to: where the results go (.csv, .xlsx or .parquet), instead of beside the plan.
        rejected_to: where rows go that this run did not take (.csv or .xlsx), instead of beside the plan.
        store: a working store whose `flexsync.import_journal` gets the outcomes too.
        pace: how many rows are checked together, and how patiently.
        undo_flags: flags with which an undo of the run is to be called, for the note of a run that breaks off.
        progress: hears how far it is.
        clock: this machine's.

    Raises:
        FixInput: the plan was changed, is another account's, or was not confirmed as it asks.
        LockHeld: another apply has this plan, or a sync has the store.
        StopRun: the server is gone or refuses; what was done is in the journal.
    """
    shown, given = progress or Progress(), settings.imports
    orders = _orders(given, canary, max_failures, pace or Pace())
    account, out = Account.of(settings, shown), _Out(results_to, rejected_to, given.neutralise)
    return _Applying(account, limits(given), out, shown, clock, undo_flags).apply(path, confirmed, orders, store)


def _orders(given: Import, canary: int, max_failures: int | None, pace: Pace) -> Orders:
    failures = given.max_failures if max_failures is None else max_failures
    return Orders(canary=canary, max_failures=failures, pace=pace)


class _Out(NamedTuple):
    """Where results and rows that were not taken go, and whether formulas in CSV get a quote in front."""

    results: Path | None
    rejected: Path | None
    neutralise: bool


@dataclass(frozen=True)
class _Applying:
    """One apply job: the account, the guards' limits, where results go, progress, clock, flags of an undo."""

    account: Account
    limits: Limits
    out: _Out
    progress: Progress
    clock: Clock
    undo_flags: str = ""

    def apply(self, path: Path, confirmed: Confirmed, orders: Orders, store: Path | None) -> Applied:
        """Hold the plan, the run and the store; check everything; then write."""
        ask, number = quietly(confirmed.ask, self.progress), quietly(confirmed.number, self.progress)
        confirmed = replace(confirmed, ask=ask, number=number)
        with alone(path), _opened(store) as kept, ExitStack() as stack:
            plan = Plan.read(path)
            header = plan.header
            stack.enter_context(alone(path.parent / f".{header.run}"))  # it may be here under another name too
            check_not_undone(plan)
            self.account.check_address(header)
            self.account.require_key()
            results_of(plan, self.out.results)  # a wrong place is reported before anything is written
            check_rejected(self.out.rejected)
            left = left_of(plan)
            if left.writes:  # a run of which nothing is left only tells so
                confirm(plan, confirmed, self.limits, self.clock, left)
            orders = replace(orders, onboarding=str(header.options.get("onboarding") or "skip"))
            with Journal.of(plan, self.clock) as journal:
                return self._carry_out(plan, journal, orders, kept, confirmed)

    def _carry_out(
        self, plan: Plan, journal: Journal, orders: Orders, kept: Store | None, confirmed: Confirmed
    ) -> Applied:
        """Write the canary, ask, write the rest."""
        try:
            done = run(self._write(plan, journal, orders, kept))
            if done.tally.canary and go_on(done.tally.canary, confirmed):
                done = run(self._write(plan, journal, replace(orders, canary=0), kept)).after(done)
            return done
        except BaseException:
            self._write_files(plan, journal)
            if journal.settled or journal.open:
                self.progress.note(_broken_off(plan, journal, self.undo_flags))
            raise

    async def _write(self, plan: Plan, journal: Journal, orders: Orders, kept: Store | None) -> Applied:
        header = plan.header
        began = time.monotonic()
        async with self.account.open() as api:
            left = customers_written(header.counts) - len(journal.settled)
            if header.counts["writes"]:
                await _check_account(api, plan, journal, left, kept)
            self.progress.step("write", left, ("customer", "customers"))
            work = Apply(
                plan,
                api.send,
                journal,
                orders,
                on_settled=lambda count: self.progress.advance("write", count),
                write=lambda call, until: api.send(call, until=until),
                every_subscription=bool(header.undoes),
            )
            tally = await work.run()
            calls = api.gate.report()["operations"]
        rejected, written = self._write_files(plan, journal)
        if kept:
            kept.record_import(header.run, header.made_at, results(plan.entries(), journal.settled))
        seconds = time.monotonic() - began
        refused = [line for line in journal.settled.values() if line.outcome != "done"]
        return Applied(plan, tally, rejected, written, calls, seconds, refused, can_be_undone(read(journal.path)))

    def _aside(self, path: Path) -> None:
        self.progress.note(f"the older {path} is now {set_aside(path)}")

    def _write_files(self, plan: Plan, journal: Journal) -> tuple[tuple[Path, int], tuple[Path, int]]:
        """Write what became of every row so far.

        Rows that this run did not take have a file of their own: rows that the plan refused are in the plan's file
        already, and somebody may be correcting them there.
        """
        rejected = self.out.rejected or plan.beside(f".{plan.header.run}.rejected.csv")
        out = results_of(plan, self.out.results)
        writing = (entry for entry in plan.entries() if entry.writes)
        written = write_results(out, plan.entries(), journal.settled, neutralise=self.out.neutralise)
        refused = write_rejected(rejected, plan.header.source, writing, journal.settled, aside=self._aside)
        return (rejected, refused), (out, written)


async def _check_account(api: Client, plan: Plan, journal: Journal, left: int, kept: Store | None) -> None:
    _, environment = await total(api.send)
    check_environment(plan.header, environment, begun=bool(journal.settled or journal.open), left=left)
    if kept and environment:
        kept.bind(environment)


def _broken_off(plan: Plan, journal: Journal, undo_flags: str) -> str:
    run, rows = plan.header.run, customers_written(plan.header.counts)
    left = f"{rows - len(journal.settled)} of {counted(rows, 'customer is', 'customers are')} left"
    undo = f"; flexsync import undo {run}{undo_flags} takes back what was written"
    return f"run {run}: {left}. The same command continues{undo if can_be_undone(read(journal.path)) else ''}"


@contextmanager
def _opened(path: Path | None) -> Iterator[Store | None]:
    """The store is opened before anything is written to the account: a held one must stop the run now, not after it."""
    with Store.open(path) if path else nullcontext() as store:
        yield store
