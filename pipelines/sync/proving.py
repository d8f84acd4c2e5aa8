"""The proof: count on the server what existed at T0, compare it with the store, and write the certificate.

Promised: the counts are valid however busy the account is (contract.md 11); where they differ, a full walk follows
before the run is called degraded. Never done: believing the store's own tally.
"""

from __future__ import annotations

from connector.api import calls
from connector.pull.certificate import Certificate, CustomerProof, Totals
from connector.pull.pages import count_rows
from connector.pull.windows import Run
from pipelines.sync.listing import list_customers_again
from pipelines.sync.session import Session

ATTEMPTS = 25  # counts on an account whose customers change their status faster than we count


async def prove(session: Session, run: Run) -> Certificate:
    """Build the certificate of a run; where customers are missing, walk all of them once more first."""
    session.progress.step("proof")
    proof = await _customer_proof(session, run)
    all_rejected = proof.rejected > 0 and proof.existed == proof.stored + proof.rejected
    if not proof.holds and not all_rejected and session.method == "keyset":
        session.note(f"the server counts {proof.existed} customers, the store had {proof.stored}: a full walk followed")
        await list_customers_again(session, run)
        proof = await _customer_proof(session, run)
    broken = session.store.broken_features()
    if broken:
        session.faults.append(f"features: {broken} that rows refer to are missing or do not fit (flexsync.rejects)")
    return _certificate(session, run, proof)


async def prove_again(session: Session, run: Run) -> Certificate:
    """Build the certificate of a finished run anew, by counting on the server now; nothing is written."""
    return _certificate(session, run, await _customer_proof(session, run))


async def count_customers(session: Session, run: Run) -> int | None:
    """Count on the server the customers that existed at T0; None when no two totals agreed (contract.md 11)."""
    for _ in range(ATTEMPTS):
        counts = [await _count(session, run, status) for status in ("published", "archived", "published")]
        totals = Totals(*counts)
        if totals.agree:
            return totals.existed
    return None


async def _customer_proof(session: Session, run: Run) -> CustomerProof:
    return session.store.customer_proof(run, await count_customers(session, run), session.method)


def _certificate(session: Session, run: Run, proof: CustomerProof) -> Certificate:
    store = session.store
    return Certificate(
        run.run_id,
        proof,
        children=store.child_proofs(run),
        zeros=store.zero_watch(run),
        rejected=store.rejected_listings(),
        notes=session.notes,
        faults=session.faults,
    )


async def _count(session: Session, run: Run, status: str) -> int:
    if session.method == "offset":
        return await count_rows(calls.list_customers(status=status, limit=1), session.api.send)
    body = {"status": status, "limit": 1, "filters": [calls.before("created_at", run.t0)]}
    return await count_rows(calls.search_customers(body), session.api.send)
