"""The last answer to each per-customer call: when it was confirmed, its rows, and a hash of its body.

Promised: an answer has a hash only if all of it is stored, so that only then an equal body is skipped; it loses the
hash when a row of it becomes another customer's. Never done: opening or committing a transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import pyarrow as pa

from connector.pull.work import Item, Result
from connector.store.batch import keys
from connector.store.database import Database, registered
from connector.store.verdicts import Verdicts
from connector.tables.decode import Decoded

_CHUNK = 2047  # bytes; from 2048 on hashlib releases the interpreter's lock, which costs more than hashing
_NEVER = 2**62  # microseconds
_COLUMNS = """customer_id, resource, subscription_id, run_id, observed_at, rows, body_hash, context, trusted_until,
    seconds"""


def fingerprint(item: Item, body: bytes) -> bytes:
    """Return a 16-byte hash of a body and of what else decides its rows."""
    digest = hashlib.blake2b(item.context.encode(), digest_size=16)
    for start in range(0, len(body), _CHUNK):
        digest.update(body[start : start + _CHUNK])
    return digest.digest()


def unchanged(result: Result) -> bool:
    """Return whether a body equals the last good one.

    The answer to a second attempt is always read: the first may have left rows behind.
    """
    item = result.item
    if item.state != "pending" or item.previous_hash is None:
        return False
    return item.previous_hash == fingerprint(item, result.body or b"")


def confirm(db: Database, run_id: str, results: Sequence[Result]) -> list[Result]:
    """Record that this run got the last good answers again.

    Returns:
        Those of `results` that are not: their answer lost its hash after the call was handed out.
    """
    confirmed = keys(
        results,
        observed_at=[r.observed_at for r in results],
        body_hash=[r.item.previous_hash for r in results],
    )
    with registered(db, confirmed=confirmed):
        found = db.execute(
            """UPDATE flexsync.answers a SET observed_at = c.observed_at, run_id = $run FROM confirmed c
            WHERE a.customer_id = c.customer_id AND a.resource = c.resource
            AND a.subscription_id = c.subscription_id AND a.body_hash = c.body_hash
            RETURNING a.customer_id, a.resource, a.subscription_id""",
            {"run": run_id},
        ).fetchall()
    done = set(found)
    return [r for r in results if (r.item.customer_id, r.item.resource, r.item.subscription_id) not in done]


def forget(db: Database, resource: str, customer_ids: Collection[str]) -> None:
    """Have these customers asked again, if this run did already, and the next body read even if it is the last one."""
    given = {"r": resource, "ids": sorted(customer_ids)}
    theirs = "resource = $r AND list_contains($ids, customer_id)"
    db.execute(f"UPDATE flexsync.answers SET body_hash = NULL WHERE {theirs}", given)
    db.execute(
        f"""UPDATE flexsync.queue SET previous_hash = NULL, state = if(state = 'done', 'again', state)
        WHERE {theirs}""",
        given,
    )


def staged(run_id: str, verdicts: Verdicts) -> pa.Table | None:
    """Return rows for `upsert`, one per usable answer of a batch; None when there is none.

    Column `known` says whether an earlier row may have to be replaced.
    """
    batch, usable = verdicts.batch, verdicts.usable()
    if not usable:
        return None
    until = _trusted_until(batch.decoded)
    given = [batch.results[i] for i in usable]
    # To be judged again, even if it comes word for word.
    doubted = batch.customers_with_rejects | verdicts.outdated | verdicts.accepted
    whole = [verdicts.good(i) and batch.results[i].item.customer_id not in doubted for i in usable]
    return keys(
        given,
        run_id=[run_id] * len(given),
        observed_at=[r.observed_at for r in given],
        rows=[batch.decoded.rows[i] for i in usable],
        body_hash=[fingerprint(r.item, r.body or b"") if ok else None for r, ok in zip(given, whole, strict=True)],
        context=[r.item.context for r in given],
        trusted_until=[until.get(r.item.customer_id) for r in given],
        seconds=[r.seconds for r in given],
        known=[r.item.previous_rows is not None or not r.item.fresh or r.item.state != "pending" for r in given],
    )


def upsert(db: Database, given: pa.Table) -> None:
    """Write the last answers, in place of earlier ones to the same calls."""
    with registered(db, given=given):
        if any(given.column("known").to_pylist()):
            db.execute(
                """DELETE FROM flexsync.answers a USING given g WHERE g.known AND a.customer_id = g.customer_id
                AND a.resource = g.resource AND a.subscription_id = g.subscription_id"""
            )
        db.execute(f"INSERT INTO flexsync.answers ({_COLUMNS}) SELECT {_COLUMNS} FROM given")


def _trusted_until(decoded: Decoded) -> dict[str, int]:
    """Return customer -> the earliest moment, in microseconds, at which its figures are reset."""
    until: dict[str, int] = {}
    for name, column in (("usage", "next_usage_reset_at"), ("upcoming_grants", "scheduled_for")):
        table = decoded.tables.get(name)
        if table is None:
            continue
        moments = table.column(column).cast(pa.int64()).to_pylist()
        for customer, moment in zip(table.column("customer_id").to_pylist(), moments, strict=True):
            if moment is not None and moment < until.get(customer, _NEVER):
                until[customer] = moment
    return until
