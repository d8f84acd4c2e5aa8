"""The proof: count on the server what existed at T0, compare it with the store, and write the certificate.

Promised: the counts are valid however busy the account is (contract.md 11); where a window differs, its rows are walked
once more before the run is called degraded; customers whose subscriptions that shows to be others are called again.
Never done: believing the store's own tally.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES, Json
from connector.errors import Refused, SkipRow
from connector.pull.certificate import Certificate, Counted, ListingProof, Totals
from connector.pull.page import read
from connector.pull.pages import FilterIgnoredError, count_rows
from connector.pull.proof_windows import Window, cut, number_of_windows
from connector.pull.watermarks import LISTINGS
from connector.pull.windows import Run
from connector.store import listing_facts
from connector.store.evidence import broken_features, lasting_reasons, rejected_listings
from connector.store.queue import waiting_customers
from pipelines.sync.calling import queue_calls
from pipelines.sync.closing import call_outdated
from pipelines.sync.linking import settle_links
from pipelines.sync.listing import list_customers_by_offset, list_subscriptions_by_offset, list_window
from pipelines.sync.lookup import OTHER_STATUS, denied, too_many_gone
from pipelines.sync.session import Session
from pipelines.sync.walks import subscriptions_walk

ATTEMPTS = 25  # counts on an account whose customers change their status faster than we count
ROUNDS = 2  # further calls, at most, of customers whose subscriptions change faster than they are called
MOST_ALONE = 4  # windows that differ and are walked alone; more of them say that the whole listing has to be walked
LISTED_AGAIN = 3  # listings by offset, at most, of subscriptions whose number differs
_MICROSECOND = timedelta(microseconds=1)
_NEVER = Window(None, datetime(1970, 1, 1, tzinfo=UTC))  # no row was created in it


async def prove(session: Session, run: Run, accept_lower: frozenset[str], most_windows: int) -> Certificate:
    """Build the certificate of a run; walk once more whatever differs, and call whoever that concerns.

    What was counted is kept, so that a run that is stopped here and resumed need not count again.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        most_windows: windows of `created_at` to count in, at most.
    """
    session.progress.step("proof")
    proofs = await _prove_listings(session, run, most_windows, "proof")
    for number in range(1, ROUNDS + 1):
        if not await call_outdated(session, run, accept_lower):
            break
        proofs = await _prove_listings(session, run, most_windows, f"proof{number}")
    else:
        await _name_outdated(session, run)
    await settle_links(session, run)
    if "subscriptions" in run.resources and session.subscriptions_filtered:
        await _name_other_statuses(session)
    for resource in LISTINGS:  # also one that cannot be counted
        session.found.faults += denied(session, run, resource) + too_many_gone(session, run, resource)
    broken = session.store.facts(broken_features)
    if broken:
        session.found.fault(f"features: {broken} that rows refer to are missing or do not fit (flexsync.rejects)")
    return _certificate(session, run, proofs)


async def prove_again(session: Session, run: Run, most_windows: int) -> Certificate:
    """Build the certificate of a finished run anew, by counting on the server now; nothing is written.

    What the run could not read, or found suspect, stays a reason: a count does not show whether an edit arrived.
    """
    session.found.faults += session.store.facts(lasting_reasons, run.run_id)
    resources = _countable(session, run)
    for name in resources:
        await _choose_method(session, name)
    proofs = {name: await _proof(session, run, name, most_windows, keep=False) for name in resources}
    return _certificate(session, run, proofs)


async def _choose_method(session: Session, resource: str) -> None:
    """Count a listing as a whole where the server counts rows before all time, or refuses to: it does not filter."""
    try:
        if not await _count_on_server(session, resource, _NEVER):
            return
    except SkipRow:
        pass  # a server that refuses filters
    if resource == "customers":
        session.method = "offset"
    else:
        session.subscriptions_filtered = False


def _countable(session: Session, run: Run) -> list[str]:
    """Return the listings to prove: those that the run loads and could read."""
    return [name for name in LISTINGS if name in ("customers", *run.resources) and name not in session.found.unlisted]


async def _prove_listings(session: Session, run: Run, most_windows: int, phase: str) -> dict[str, ListingProof]:
    """Count the listings and walk again what differs; `phase` is part of the walks' names, unique within the run."""
    proofs = {}
    for resource in _countable(session, run):
        proof = await _proof(session, run, resource, most_windows, keep=True)
        try:
            if proof.walkable and not proof.all_rejected and proof.method == "keyset":
                await _walk_again(session, run, proof, phase)
        except FilterIgnoredError as error:  # no walk showed it, where one row is all there is
            await _list_by_offset(session, run, resource, error)
            proof = await _proof(session, run, resource, most_windows, keep=True)
        if resource == "subscriptions" and proof.method == "offset":
            await _settle_subscriptions(session, run, proof, f"{phase}/again")
        proofs[resource] = proof
    return proofs


async def _name_other_statuses(session: Session) -> None:
    """Record a fault if there are subscriptions in a status that this version does not know, which no walk lists.

    A server that drops the condition answers with any row (contract.md 3.4), which says nothing.
    """
    try:
        reply = await session.api.send(calls.search_subscriptions(limit=1, filters=[OTHER_STATUS]))
    except Refused:
        return
    found = read("subscriptions", reply)
    for row in reply.json()["items"] if found.rows else ():
        status = row.get("subscription_status")
        if isinstance(status, str) and status not in SUBSCRIPTION_STATUSES:
            session.found.fault(
                f"subscriptions: {found.total or 1} have a status that this version does not know, such as {status}"
                f" of {row.get('id')}, and are not loaded; upgrade Flexsync"
            )


async def _name_outdated(session: Session, run: Run) -> None:
    """Record a fault if customers wait for a call again after the last round."""
    await queue_calls(session, run)
    waiting = session.store.facts(waiting_customers)
    if waiting:
        session.found.fault(
            f"the subscriptions of {len(waiting)} customers, such as {waiting[0]}, changed after each of their calls,"
            f" also after {ROUNDS} more"
        )


async def _walk_again(session: Session, run: Run, proof: ListingProof, phase: str) -> None:
    """Walk the windows that differ once more, or all of the listing where many differ, and count them again."""
    differing = proof.walkable
    session.note(
        f"the server counts {proof.existed} {proof.resource}, the store had {proof.stored}:"
        f" {len(differing)} of {len(proof.counted)} windows of created_at were walked again"
    )
    again = differing if len(differing) <= MOST_ALONE else [Window(None, run.t0)]
    for number, window in enumerate(again):
        await list_window(session, run, proof.resource, window, f"{phase}/{number}")
    for place, each in enumerate(proof.counted):
        if not each.agrees or len(differing) > MOST_ALONE:
            proof.counted[place] = await _count_and_keep(session, run, proof.resource, each.window)
    _read_exceptions(session, proof)


async def _list_by_offset(session: Session, run: Run, resource: str, error: FilterIgnoredError) -> None:
    """List a resource by offset, because its counts have shown that the server ignores filters."""
    if resource == "customers":
        await list_customers_by_offset(session, run, "proof", error)
        return
    session.note(f"subscriptions were listed by offset, because the search does not filter: {error}")
    await list_subscriptions_by_offset(session, run, "proof")


async def _settle_subscriptions(session: Session, run: Run, proof: ListingProof, phase: str) -> None:
    """List subscriptions again where their total differs, until those up to the newest one counted are all there.

    Those created meanwhile explain a difference, but a bound on them does not: one that a page left out may hide in it.
    """
    for number in range(1, LISTED_AGAIN + 1):
        if proof.holds or proof.all_rejected or proof.existed is None:
            return
        window, existed = await _count_to_the_newest(session, run)
        await list_subscriptions_by_offset(session, run, f"{phase}/{number}")
        stored = session.store.facts(listing_facts.stored_in, "subscriptions", window)
        proof.counted = [Counted(window, existed, stored)]
        _read_exceptions(session, proof)


async def _count_to_the_newest(session: Session, run: Run) -> tuple[Window, int | None]:
    """Count all subscriptions, on a server that cannot filter; the window ends behind the newest of them."""
    body: Json = {"subscription_status": list(SUBSCRIPTION_STATUSES), "limit": 1, "order": "desc"}
    found = read("subscriptions", await session.api.send(calls.search_subscriptions(body)))
    newest = [moment for row in found.rows if (moment := subscriptions_walk("created_at").moment(row))]
    return Window(None, max(newest) + _MICROSECOND if newest else run.t0), found.total


async def _proof(session: Session, run: Run, resource: str, most_windows: int, *, keep: bool) -> ListingProof:
    store, proof = session.store, ListingProof(resource, run.t0, [])
    _read_exceptions(session, proof)
    if resource == "customers" and session.method == "offset":
        proof.method = "offset"
        proof.counted = [await _count_all_customers(session, run)]
        return proof
    if resource == "subscriptions" and not session.subscriptions_filtered:
        proof.method = "offset"
        proof.counted = [await _count_all_subscriptions(session, run)]
        return proof
    for window in _windows(session, run, resource, most_windows):
        before = store.facts(listing_facts.counted_before, run.run_id, resource, window) if keep else None
        if before is not None:
            proof.counted.append(Counted(window, before, store.facts(listing_facts.stored_in, resource, window)))
        elif keep:
            proof.counted.append(await _count_and_keep(session, run, resource, window))
        else:
            proof.counted.append(await _count(session, resource, window))
    return proof


def _read_exceptions(session: Session, proof: ListingProof) -> None:
    """Take from the store how many rows of the listing are in quarantine, and how many are gone."""
    proof.rejected = session.store.facts(listing_facts.rejected, proof.resource)
    proof.gone = session.store.facts(listing_facts.gone, proof.resource)


def _windows(session: Session, run: Run, resource: str, most: int) -> list[Window]:
    """Cut the time before T0 into windows."""
    facts = session.store.facts
    number = number_of_windows(most, facts(listing_facts.calls_per_customer), session.count_seconds)
    created = facts(listing_facts.created_at_random, resource, number, run.run_id)
    return cut(run.t0, number, created, run.run_id + resource)


async def _count_and_keep(session: Session, run: Run, resource: str, window: Window) -> Counted:
    counted = await _count(session, resource, window)
    await session.in_store(session.store.save_count, run, resource, counted)
    return counted


async def _count(session: Session, resource: str, window: Window) -> Counted:
    """Count the rows of a window on the server and in the store."""
    existed = await _count_on_server(session, resource, window)
    return Counted(window, existed, session.store.facts(listing_facts.stored_in, resource, window))


async def _count_on_server(session: Session, resource: str, window: Window) -> int | None:
    if resource == "customers":
        return await count_customers(session, window)
    return await _total(session, "subscriptions", window, subscription_status=list(SUBSCRIPTION_STATUSES))


async def count_customers(session: Session, window: Window) -> int | None:
    """Count on the server the customers created in a window; None when no two totals agreed (contract.md 11)."""
    return await _agreed(lambda status: _total(session, "customers", window, status=status))


async def _agreed(total: Callable[[str], Awaitable[int | None]]) -> int | None:
    """Ask for the totals of published, archived and published customers until both published ones agree.

    Args:
        total: status -> the server's total, None when it sent none.

    Returns:
        How many existed; None when a total is missing, or no two agreed.
    """
    for _ in range(ATTEMPTS):
        counts = [await total(status) for status in ("published", "archived", "published")]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None
        totals = Totals(*known)
        if totals.agree:
            return totals.existed
    return None


async def _total(session: Session, resource: str, window: Window, **given: object) -> int | None:
    """Ask for the total of a window. Both operators are strict, so the window begins a microsecond earlier."""
    filters: list[Json] = [calls.before("created_at", window.ends)]
    if window.begins:
        filters.append(calls.after("created_at", window.begins - _MICROSECOND))
    make = calls.search_customers if resource == "customers" else calls.search_subscriptions
    return await count_rows(make({**given, "limit": 1, "filters": filters}), session.api.send)


async def _count_all_customers(session: Session, run: Run) -> Counted:
    """Count all customers, on a server that cannot filter."""
    send = session.api.send
    existed = await _agreed(lambda status: count_rows(calls.list_customers(status=status, limit=1), send))
    return Counted(Window(None, run.t0), existed, session.store.facts(listing_facts.stored, "customers"))


async def _count_all_subscriptions(session: Session, run: Run) -> Counted:
    """Count the subscriptions of every status, on a server that cannot filter."""
    call = calls.search_subscriptions(subscription_status=list(SUBSCRIPTION_STATUSES), limit=1)
    existed = await count_rows(call, session.api.send)
    return Counted(Window(None, run.t0), existed, session.store.facts(listing_facts.stored, "subscriptions"))


def _certificate(session: Session, run: Run, proofs: dict[str, ListingProof]) -> Certificate:
    store = session.store
    if proofs["customers"].method == "offset":
        session.note("customers were counted as a whole only: one deleted by hand and a late one can cancel out")
    for note in session.api.mask.notes():
        session.note(note)
    return Certificate(
        run.run_id,
        proofs["customers"],
        subscriptions=proofs.get("subscriptions"),
        children=store.child_proofs(run),
        zeros=store.zero_watch(run),
        rejected=store.facts(rejected_listings),
        notes=session.found.notes,
        faults=[*session.found.faults, *session.found.cached.faults()],
    )
