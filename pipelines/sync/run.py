"""One run, from its beginning to its report: the order of the steps.

Promised: every step can be killed and resumed (its position is in the store); a run is green only when its certificate
is; a run whose listing did not finish reports an error, and nothing is published. Never done: HTTP, SQL, decoding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from connector.api.client import Client
from connector.clock import Clock, utc_now
from connector.errors import FixInput, FlexsyncError
from connector.pull.certificate import Certificate
from connector.pull.watermarks import LISTINGS
from connector.pull.windows import Run
from connector.settings import History
from connector.settings import Sync as SyncSettings
from connector.store.store import Store
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync.beginning import begin
from pipelines.sync.calling import call_customers, per_customer
from pipelines.sync.closing import close
from pipelines.sync.doubting import settle
from pipelines.sync.listing import list_account
from pipelines.sync.proving import prove, prove_again
from pipelines.sync.session import Session
from pipelines.sync.undone import read_undone


@dataclass(frozen=True)
class Options:
    """The options of one run.

    Attributes:
        full: walk everything, whatever the cursors say.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        accept_gone: rows of a listing that may be gone in this run, however many that is.
    """

    full: bool = False
    accept_lower: frozenset[str] = frozenset()
    accept_gone: int = 0


class Sync:
    """One run over one store.

    Args:
        settings: [sync]: what to load, and how fresh it has to be.
        api: an open client.
        store: an open store.
        options: of this run.
        progress: gets the steps, counts and notes of the run; by default nobody is listening.
        clock: this machine's clock, for answers without a `Date` header and for the end of the run.
        monotonic: seconds, never going back; the clock of `Reply.began`.
        history: [history]: how far back the store can be asked.
    """

    def __init__(
        self,
        settings: SyncSettings,
        api: Client,
        store: Store,
        options: Options | None = None,
        progress: Progress | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        history: History | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.options = options or Options()
        self.history = history or History()
        self.session = Session(
            api,
            store,
            progress or Progress(),
            clock,
            every_customer=not settings.prune,
            accept_gone=self.options.accept_gone,
            probe=settings.analytics_probe == "auto",
            monotonic=monotonic,
        )
        self._began = time.monotonic()

    async def run(self) -> Report:
        """Run to the end.

        Returns:
            The report; its status is green or degraded.

        Raises:
            FlexsyncError: the run could not end; everything committed is kept and the next run continues from there.
        """
        session, accept = self.session, self.options.accept_lower
        run = await begin(session, self.settings, full=self.options.full)
        session.progress.began(run.run_id, run.mode)
        if run.resumed:
            session.progress.note(f"resuming run {run.run_id}, begun at {run.started_at:%Y-%m-%dT%H:%M:%SZ}")
        try:
            await list_account(session, run)
            await call_customers(session, run, accept, self.settings.audit_sample)
            await close(session, run, accept, self.settings.overlap)
            await read_undone(session, run, self.settings.overlap)
            certificate = await prove(session, run, accept, self.settings.proof_windows)
        except (FlexsyncError, asyncio.CancelledError):
            if per_customer(run):
                settle(session, run)
            self.store.interrupt(run, session.api.gate.calls)
            raise
        return await session.in_store(self._finish, run, certificate)

    async def measure(self) -> tuple[Certificate, Run]:
        """Prove the last finished run anew against the live API; nothing is written.

        Returns:
            The certificate, and the run that it is about.

        Raises:
            FixInput: the store holds no finished run.
        """
        run = self.store.last_run()
        if run is None:
            raise FixInput(f"{self.store.path} holds no finished run.", remedy="Run `flexsync sync` first.")
        return await prove_again(self.session, run, self.settings.proof_windows), run

    def _finish(self, run: Run, certificate: Certificate) -> Report:
        """End the run in the store, its cursors and its report included."""
        session = self.session
        report = Report(
            run.run_id,
            mode=run.mode,
            resumed=run.resumed,
            resources=list(run.resources),
            reasons=certificate.reasons,
            notes=session.found.notes,
            certificate=certificate.plain(),
            tables=self.store.counts(run),
            unchanged=session.unchanged,
            unknown=dict(session.unknown_fields + self.store.unknown),
            flow=session.api.gate.report(),
            seconds=round(time.monotonic() - self._began, 3),
        )
        listed = [name for name in LISTINGS if name not in session.found.unlisted | session.found.lacking]
        clocks = session.clocks(self.settings.overlap)
        since = self.history.since(min(clocks))  # by the earlier one: what is removed under a wrong clock is lost
        report.status = self.store.finish(run, certificate, report.plain(), clocks, listed, since)
        return report
