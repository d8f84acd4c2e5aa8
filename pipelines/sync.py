"""The pull: list, find out who needs calls, call, close, prove, publish.

Promised: every step can be killed and taken up again (its position lies in the store); the run is green only when its
certificate is; a run whose listing did not finish publishes nothing. Never done here: HTTP, SQL, decoding.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES, Call, Reply
from connector.api.client import AsyncFlexprice
from connector.errors import FixInput, FlexsyncError, Refused, SkipRow
from connector.publications.publish import publish
from connector.pull.certificate import Certificate, Totals
from connector.pull.fan_out import FanOut
from connector.pull.pages import FilterIgnoredError, Page, Position, Walk, walk, walk_by_offset, with_body
from connector.pull.windows import FULL, Run, window_start
from connector.pull.work import Item, Result
from connector.settings import Settings
from connector.store.ingest import Ingest, Ingested
from connector.store.store import Store
from connector.tables.resources import RESOURCES, chosen
from pipelines.progress import Progress
from pipelines.summary import Report

STATUSES = ("published", "archived")
ASK_AGAIN = 25  # times the totals are asked on an account that archives faster than we count
ID_BATCH = 1000  # ids in one question (contract.md 9, 26)
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What one run may be told.

    Attributes:
        full: walk everything, whatever the cursor says.
        accept_lower: customers, or "all", whose lower figures are believed.
    """

    full: bool = False
    accept_lower: frozenset[str] = frozenset()


class Sync:
    """One run over one store.

    Args:
        settings: where from, how fast, how fresh.
        api: an open client.
        store: an open store.
        options: of this run.
        progress: is told how far it is.
    """

    def __init__(
        self,
        settings: Settings,
        api: AsyncFlexprice,
        store: Store,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings = settings
        self.api = api
        self.store = store
        self.options = options or Options()
        self.progress = progress or Progress()
        self.method = "keyset"
        self.everyone = not settings.sync.prune
        self.notes: list[str] = []
        self.faults: list[str] = []
        self.unlisted: set[str] = set()
        self.unchanged = 0
        self.unknown: Counter[str] = Counter()
        self._one = ThreadPoolExecutor(1, "store")  # the store does one thing at a time; memory stays low
        self._began = time.monotonic()

    async def run(self) -> Report:
        """Run to the end.

        Returns:
            The report; its status is green or degraded.

        Raises:
            FlexsyncError: the run could not end; everything committed is kept and the next run goes on from there.
        """
        hello = await self._hello()
        run = await self._store(self._begin, hello)
        if run.resumed:
            self.progress.note(f"run {run.run_id}, begun at {run.t0:%Y-%m-%dT%H:%M:%SZ}, goes on")
        try:
            await self._list(run)
            await self._call_children(run)
            await self._close(run)
            certificate = await self._prove(run)
        except (FlexsyncError, asyncio.CancelledError):
            self.store.interrupt(run, self.api.gate.calls)
            raise
        return await self._store(self._finish, run, certificate)

    async def _store(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        """Run store work in a thread, to its end even when the run is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._one, partial(work, *given, **named))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    # --- beginning ---

    async def _hello(self) -> Reply:
        """One row of either status: the server's clock, and the environment that the key opens."""
        for status in STATUSES:
            reply = await self.api.send(calls.search_customers(status=status, limit=1))
            items = reply.json().get("items")
            if not isinstance(items, list):
                raise Refused(
                    "POST /customers/search answered without a list of items.",
                    remedy="Is the base URL a FlexPrice server, with its /v1?",
                )
            if items:
                environment = str(items[0].get("environment_id") or "")
                if environment:
                    await self._store(self.store.bind, environment)
                break
        return reply

    def _begin(self, hello: Reply) -> Run:
        from importlib.metadata import version

        sync = self.settings.sync
        return self.store.begin(
            hello.date or datetime.now(UTC).replace(microsecond=0),
            chosen(sync.only),
            full=self.options.full or hello.date is None,  # without the server's clock no window can be trusted
            full_every=sync.full_every,
            overlap=sync.overlap,
            resume_for=sync.resume_for,
            version=version("flexsync"),
        )

    # --- listing ---

    async def _list(self, run: Run) -> None:
        await self._list_customers(run, "walk")
        if "subscriptions" in run.resources:
            await self._list_subscriptions(run)

    async def _list_customers(self, run: Run, phase: str) -> None:
        """Walk customers: by `created_at` in a full run, by `updated_at` in an incremental one."""
        full = run.mode == FULL or phase != "walk"
        if phase == "proof":  # whatever was met before may be gone by now
            await self._store(self.store.forget_seen, run, "customers", f"{phase}/customers/published")
        try:
            for status in STATUSES:
                plan = _customers(status, "created_at" if full else "updated_at", None if full else run.since)
                await self._walk(run, f"{phase}/customers/{status}", "customers", plan, integrations=full)
        except (FilterIgnoredError, Refused) as error:
            await self._list_by_offset(run, phase, error)
        if full and not self.store.done(run, f"{phase}/customers/gone"):
            await self._find_gone(run, "customers", self.store.unseen(run, "customers"))
            await self._store(self.store.settle_listing, run, "customers")
            await self._store(self.store.step_done, run, f"{phase}/customers/gone")

    async def _list_by_offset(self, run: Run, phase: str, error: Exception) -> None:
        """Take the way for servers without the filter language (design section 4, old servers)."""
        self.method = "offset"
        self._note(f"customers were listed by offset, for the search does not filter: {error}")
        for status in STATUSES:
            name = f"{phase}/offset/{status}"
            pages = partial(walk_by_offset, name, status, self.api.send)
            await self._drain(run, name, "customers", pages, integrations=False)

    async def _list_subscriptions(self, run: Run) -> None:
        """Walk subscriptions in every status, and besides sweep the active and trialing ones completely."""
        try:
            if run.mode == FULL:  # every status from the beginning: that is the sweep as well
                plan = _subscriptions(SUBSCRIPTION_STATUSES, "created_at")
                await self._walk(run, "walk/subscriptions", "subscriptions", plan)
            else:
                plan = _subscriptions(SUBSCRIPTION_STATUSES, "updated_at", run.since)
                await self._walk(run, "walk/subscriptions", "subscriptions", plan)
                plan = _subscriptions(("active", "trialing"), "created_at")
                await self._walk(run, "sweep/subscriptions", "subscriptions", plan)
            await self._reread_unswept(run)
        except (FilterIgnoredError, SkipRow) as error:
            await self._list_subscriptions_whole(run, "walk", error)

    async def _list_subscriptions_whole(self, run: Run, phase: str, error: Exception) -> None:
        """Without filters: call everybody, and read the subscriptions from the beginning, if one page holds them."""
        self.everyone = True
        self._note(f"every customer is called, for subscriptions cannot be swept: {error}")
        try:
            plan = _subscriptions(SUBSCRIPTION_STATUSES, "created_at")
            await self._walk(run, f"{phase}/whole/subscriptions", "subscriptions", plan)
        except (FilterIgnoredError, SkipRow) as again:
            self.unlisted.add("subscriptions")
            self.faults.append(f"subscriptions: they could not be listed: {again}")

    async def _reread_unswept(self, run: Run) -> None:
        """Ask by id for subscriptions that we hold and that the listing did not name, so a cancellation arrives."""
        if self.store.done(run, "gone/subscriptions"):
            return
        unswept = set(self.store.unswept())
        if run.mode == FULL:
            unswept |= set(self.store.unseen(run, "subscriptions"))
        await self._find_gone(run, "subscriptions", sorted(unswept))
        if run.mode == FULL:
            await self._store(self.store.settle_listing, run, "subscriptions")
        await self._store(self.store.step_done, run, "gone/subscriptions")

    async def _find_gone(self, run: Run, resource: str, ids: Sequence[str]) -> None:
        """Read rows by id in every status; those that nobody knows any more are marked."""
        found: set[str] = set()
        for place in range(0, len(ids), ID_BATCH):
            for page in await self._by_ids(resource, ids[place : place + ID_BATCH]):
                await self._store(self.store.commit_page, run, f"ids/{resource}", resource, page)
                found.update(page.ids)
        gone = [id for id in ids if id not in found]
        if gone and resource == "customers":
            await self._store(self.store.delete_child_rows, run, gone)
        await self._store(self.store.mark_gone, run, resource, gone, run.t0)

    async def _by_ids(self, resource: str, ids: Sequence[str]) -> list[Page]:
        if resource == "subscriptions":
            filters = [calls.among("id", ids)]
            body = {"subscription_status": list(SUBSCRIPTION_STATUSES), "filters": filters, "limit": ID_BATCH}
            return [_page(await self.api.send(calls.search_subscriptions(body)))]
        bodies = [{"customer_ids": list(ids), "status": status, "limit": ID_BATCH} for status in STATUSES]
        return [_page(await self.api.send(calls.search_customers(body))) for body in bodies]

    async def _walk(self, run: Run, name: str, resource: str, plan: Walk, *, integrations: bool = False) -> None:
        if integrations:
            plan = with_body(plan, expand="integrations")
        try:
            await self._drain(run, name, resource, partial(walk, plan, self.api.send), integrations=integrations)
        except Refused as error:
            if not (integrations and error.details.get("field") == "integrations"):
                raise
            self._note("integrations were not loaded: this server cannot expand them")
            await self._walk(run, name, resource, with_body(plan, expand=None))

    async def _drain(
        self, run: Run, name: str, resource: str, pages: Callable[..., Any], *, integrations: bool
    ) -> None:
        """Commit the pages of a walk; the next page is under way while one is being committed."""
        start = await self._store(self.store.position, run, name)
        self.progress.step(name)
        landing: asyncio.Task[None] | None = None
        try:
            async for page in pages(start=start):
                if landing:
                    await landing
                landing = asyncio.create_task(self._land_page(run, name, resource, page, integrations))
            if landing:
                await landing
        except BaseException:
            if landing:
                await asyncio.wait([landing])
            raise

    async def _land_page(self, run: Run, name: str, resource: str, page: Page, integrations: bool) -> None:
        await self._store(self.store.commit_page, run, name, resource, page, integrations=integrations)
        self.progress.advance(name, len(page.ids))

    # --- per customer ---

    async def _call_children(self, run: Run) -> None:
        """Ask for the children of everybody who needs it; then see what the audit sample says."""
        if not self._children(run):
            return
        sample = self.settings.sync.audit_sample if not self.store.done(run, "queued") else 0
        await self._store(self.store.fill_queue, run, sample=sample, everyone=self.everyone)
        await self._store(self.store.step_done, run, "queued")
        await self._fan_out(run, "pending", final=False)
        await self._answer_surprises(run)

    async def _answer_surprises(self, run: Run) -> None:
        """A customer of the sample had something: its subscriptions explain it, or everybody is called."""
        surprises = self.store.audit_hits()
        if not surprises or self.everyone:
            return
        filters = [calls.among("customer_id", surprises)]
        body = {"subscription_status": list(SUBSCRIPTION_STATUSES), "filters": filters, "limit": ID_BATCH}
        page = _page(await self.api.send(calls.search_subscriptions(body)))
        await self._store(self.store.commit_page, run, "ids/subscriptions", "subscriptions", page)
        explained = {row[0] for row in self.store.rows("SELECT DISTINCT customer_id FROM flexsync.sweep")}
        if set(surprises) - explained:
            self.everyone = True
            self._note(f"every customer is called: {surprises[0]} has no subscription that counts, yet was not empty")
        await self._store(self.store.fill_queue, run, sample=0, everyone=self.everyone)
        await self._fan_out(run, "pending", final=False)

    async def _fan_out(self, run: Run, state: str, *, final: bool) -> None:
        waiting = self.store.waiting(state)
        if not waiting:
            return
        for name, total in waiting.items():
            self.progress.step(name, total)
        ingest = Ingest(self.store.db, run.run_id, self.options.accept_lower)

        async def take(resource: str, beyond: int, count: int) -> list[Item]:
            return await self._store(self.store.take, resource, state, beyond, count)

        async def commit(results: Sequence[Result]) -> None:
            ingested = await self._store(self.store.commit_answers, run, ingest, results, final=final)
            self._count(ingested, results)

        fan = FanOut(take, self._asked, commit, self.settings.flow.max_in_flight)
        await fan.run([name for name in run.resources if name in waiting])

    async def _asked(self, call: Call) -> Reply:
        return await self.api.send(call)

    def _count(self, ingested: Ingested, results: Sequence[Result]) -> None:
        self.unchanged += ingested.unchanged
        self.unknown.update(ingested.unknown)
        for name, number in Counter(result.item.resource for result in results).items():
            self.progress.advance(name, number)

    def _children(self, run: Run) -> list[str]:
        return [name for name in run.resources if RESOURCES[name].call]

    # --- closing ---

    async def _close(self, run: Run) -> None:
        """Read what changed since the run began, call whoever became active, and ask a second time where needed."""
        since = window_start(run.t0, self.settings.sync.overlap)
        if self.method == "keyset":
            try:
                for status in STATUSES:
                    plan = _customers(status, "updated_at", since)
                    await self._walk(run, f"closing/customers/{status}", "customers", plan)
            except (FilterIgnoredError, Refused) as error:  # the first question that needed a filter
                await self._list_by_offset(run, "closing", error)
        if "subscriptions" in run.resources and not self.everyone:
            plan = _subscriptions(SUBSCRIPTION_STATUSES, "updated_at", since)
            try:
                await self._walk(run, "closing/subscriptions", "subscriptions", plan)
            except (FilterIgnoredError, SkipRow) as error:
                await self._list_subscriptions_whole(run, "closing", error)
        if self._children(run):
            await self._store(self.store.fill_queue, run, sample=0, everyone=self.everyone)
            await self._fan_out(run, "pending", final=False)
            await self._fan_out(run, "again", final=True)
            await self._settle_unknown(run)

    async def _settle_unknown(self, run: Run) -> None:
        """Compare a customer whose call was answered 404 twice with the customer's own state."""
        unknown = self.store.not_found()
        if unknown:
            await self._find_gone(run, "customers", unknown)

    # --- proving ---

    async def _prove(self, run: Run) -> Certificate:
        """Count on the server what existed at T0; where the store has not exactly that, walk once more."""
        self.progress.step("proof")
        existed = await self._existed(run)
        proof = self.store.customer_proof(run, existed, self.method)
        outstanding = proof.existed is not None and proof.existed == proof.stored + proof.rejected
        if not proof.holds and not (outstanding and proof.rejected) and self.method == "keyset":
            self._note(
                f"the server counts {proof.existed} customers, the store had {proof.stored}: a full walk followed"
            )
            await self._list_customers(run, "proof")
            existed = await self._existed(run)
            proof = self.store.customer_proof(run, existed, self.method)
        rejected = self.store.rejected_listings()
        watch = self.store.zero_watch(run)
        broken = self.store.broken_features()
        if broken:
            self.faults.append(f"features: {broken} that rows refer to are missing or do not fit (flexsync.rejects)")
        children = self.store.child_proofs(run)
        return Certificate(run.run_id, proof, children, watch, rejected, self.notes, self.faults)

    async def measure(self) -> tuple[Certificate, Run]:
        """Prove the last finished run anew, against the live API: the customers that existed at its T0.

        Raises:
            FixInput: nothing has been synced yet.
        """
        run = self.store.last_run()
        if run is None:
            raise FixInput(f"{self.store.path} holds no finished run.", remedy="Run `flexsync sync` first.")
        proof = self.store.customer_proof(run, await self._existed(run), self.method)
        rejected = self.store.rejected_listings()
        return Certificate(run.run_id, proof, self.store.child_proofs(run), self.store.zero_watch(run), rejected), run

    async def _existed(self, run: Run) -> int | None:
        """How many customers existed at T0, by totals that agree (contract.md 11)."""
        for _ in range(ASK_AGAIN):
            counts = [await self._total(run, status) for status in ("published", "archived", "published")]
            totals = Totals(*counts)
            if totals.agree:
                return totals.existed
        return None

    async def _total(self, run: Run, status: str) -> int:
        if self.method == "offset":
            reply = await self.api.send(calls.list_customers(status=status, limit=1))
        else:
            body = {"status": status, "limit": 1, "filters": [calls.before("created_at", run.t0)]}
            reply = await self.api.send(calls.search_customers(body))
        return int(reply.json()["pagination"]["total"])

    # --- ending ---

    def _finish(self, run: Run, certificate: Certificate) -> Report:
        report = Report(run.run_id, mode=run.mode, resumed=run.resumed, notes=self.notes)
        report.resources = list(run.resources)
        report.tables = self.store.counts(run)
        report.unchanged = self.unchanged
        report.unknown = dict(self.unknown + self.store.unknown)
        report.flow = self.api.gate.report()
        report.seconds = round(time.monotonic() - self._began, 3)
        report.certificate = certificate.plain()
        report.reasons = certificate.reasons
        now = datetime.now(UTC)
        listed = [name for name in ("customers", "subscriptions") if name not in self.unlisted]
        report.status = self.store.finish(run, certificate, report.plain(), now, listed)
        return report

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.progress.note(text)


def _customers(status: str, by: str, since: datetime | None = None) -> Walk:
    return Walk(f"customers {status}", calls.search_customers, by, {"status": status}, since)


def _subscriptions(statuses: Sequence[str], by: str, since: datetime | None = None) -> Walk:
    return Walk("subscriptions", calls.search_subscriptions, by, {"subscription_status": list(statuses)}, since)


def _page(reply: Reply) -> Page:
    found = msgspec.json.decode(reply.body, type=dict[str, Any])
    ids = tuple(str(item["id"]) for item in found.get("items", ()))
    return Page(reply, ids, len(ids), Position(done=True))


def publish_all(store: Store, settings: Settings, report: Report) -> list[str]:
    """Write every publication that the settings name; returns their targets.

    A degraded run publishes too, marked as such, unless `publish_when` says green.
    """
    if settings.sync.publish_when == "green" and report.status != "green":
        return []
    for target in settings.sync.publish:
        publish(store, target, exclude=settings.privacy.exclude)
        report.published.append(target)
    return report.published
