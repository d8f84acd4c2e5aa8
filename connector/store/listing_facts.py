"""Facts about a listing for its proof: what the store holds in each window of `created_at`, rejects, and has gone.

Promised: facts only; `connector.pull.certificate` says what they prove. Never done: opening or committing a
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.pull.certificate import Counted
from connector.pull.proof_windows import Window
from connector.pull.watermarks import LISTINGS
from connector.store.database import Database, column, count, rows
from connector.store.merge import RETURNED, awaited, older

_INSIDE = "created_at < $ends AND ($begins IS NULL OR created_at >= $begins)"


def created_at_random(db: Database, resource: str, number: int, seed: str) -> list[datetime]:
    """Return `created_at` of up to `number` rows of a listing, drawn at random, and the same for the same seed."""
    query = f"""SELECT created_at FROM {resource} WHERE created_at IS NOT NULL
        ORDER BY hash(id || $seed), id LIMIT {number:d}"""
    return column(db, query, {"seed": seed})


def calls_per_customer(db: Database) -> int:
    """Return the number of calls per customer that the run queued; the proof may cost a small part of it."""
    return count(db, "SELECT count(*) FROM flexsync.queue")


def stored_in(db: Database, resource: str, window: Window) -> int:
    """Return the number of rows of a window that are not gone."""
    query = f"SELECT count(DISTINCT id) FROM {resource} WHERE gone_at IS NULL AND {_INSIDE}"
    return count(db, query, {"begins": window.begins, "ends": window.ends})


def stored(db: Database, resource: str) -> int:
    """Return the number of rows of a listing that are not gone."""
    return count(db, f"SELECT count(DISTINCT id) FROM {resource} WHERE gone_at IS NULL")


def gone(db: Database, resource: str) -> int:
    """Return the number of rows of a listing that are gone."""
    return count(db, f"SELECT count(DISTINCT id) FROM {resource} WHERE gone_at IS NOT NULL")


def gone_in_run(db: Database, resource: str, run_id: str) -> int:
    """Return the number of rows that a run has marked as gone."""
    return count(db, f"SELECT count(*) FROM {resource} WHERE gone_at IS NOT NULL AND run_id = $run", {"run": run_id})


def rejected(db: Database, resource: str) -> int:
    """Return the number of rows in quarantine that the listing's table does not hold."""
    return count(
        db,
        f"""SELECT count(DISTINCT key) FROM flexsync.rejects WHERE table_name = $resource
        AND key <> '' AND key NOT IN (SELECT id FROM {resource})""",
        {"resource": resource},
    )


def unseen_in(db: Database, resource: str, window: Window) -> list[str]:
    """Return stored ids of a window that no listing has returned since they were awaited, and that are not gone.

    Every id is awaited from the beginning of the run, and once more where `await_again` says so.
    """
    met = "EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = {0} AND m.id = t.id)"
    query = f"""SELECT id FROM {resource} t WHERE gone_at IS NULL AND {_INSIDE}
        AND (NOT {met.format("$resource")} OR {met.format("$awaited")}) ORDER BY id"""
    given = {"resource": resource, "awaited": awaited(resource)}
    return column(db, query, {"begins": window.begins, "ends": window.ends, **given})


def unnamed_edits(db: Database, resource: str, status: str, since: datetime | None, read_before: datetime) -> list[str]:
    """Return stored rows that were edited after a moment and that this run has not met, though a walk read from there.

    Args:
        db: the connection.
        resource: customers or subscriptions.
        status: of the rows that the walk reads; "" for every status.
        since: where the walk began; None for the first row.
        read_before: leave out rows whose content was first read later, in server time.
    """
    query = f"""SELECT id FROM {resource} t WHERE gone_at IS NULL AND observed_at < $before
        AND ($since IS NULL OR updated_at > $since) AND ($status = '' OR status = $status)
        AND NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = t.id) ORDER BY id"""
    return column(db, query, {"resource": resource, "status": status, "since": since, "before": read_before})


def any_older(db: Database, resource: str, read_before: datetime) -> bool:
    """Return whether a row came back with an older edit than one that was first read before a moment of the server.

    Walks of everything settle it (see `forget_older`).
    """
    query = "SELECT 1 FROM flexsync.met WHERE resource = $older AND TRY_CAST(id AS TIMESTAMPTZ) < $before LIMIT 1"
    return bool(rows(db, query, {"older": older(resource), "before": read_before}))


def forget_older(db: Database) -> None:
    """Forget that rows came back with an older edit, because walks of everything have read all rows."""
    names = [older(resource) for resource in LISTINGS]
    db.execute("DELETE FROM flexsync.met WHERE list_contains($names, resource)", {"names": names})


def gone_edits(
    db: Database, resource: str, status: str, since: datetime | None, run_id: str, refused: Sequence[str]
) -> int:
    """Return the number of rows that were edited after a moment and are gone since the last run that ended.

    Args:
        db: the connection.
        resource: customers or subscriptions.
        status: of the rows that the walk reads; "" for every status.
        since: where the walk began; None for the first row.
        run_id: this run.
        refused: rows that the server does not know either, and that were not marked as gone.
    """
    query = f"""SELECT count(*) FROM {resource} WHERE ($since IS NULL OR updated_at > $since)
        AND ($status = '' OR status = $status) AND (list_contains($refused, id) OR (gone_at IS NOT NULL
            AND run_id > coalesce((SELECT max(run_id) FROM flexsync.runs
                WHERE status IN ('green', 'degraded') AND run_id < $run), '')))"""
    return count(db, query, {"status": status, "since": since, "run": run_id, "refused": list(refused)})


def met(db: Database, resource: str, ids: Sequence[str]) -> list[str]:
    """Return those of `ids` that an answer of this run has held, in order."""
    query = "SELECT id FROM flexsync.met WHERE resource = $resource AND list_contains($ids, id) ORDER BY id"
    return column(db, query, {"resource": resource, "ids": list(ids)})


def met_and_gone(db: Database, resource: str, run_id: str) -> list[str]:
    """Return the rows that an answer of this run has held and that it has marked as gone since."""
    query = f"""SELECT id FROM {resource} WHERE gone_at IS NOT NULL AND run_id = $run
        AND id IN (SELECT id FROM flexsync.met WHERE resource = $resource) ORDER BY id"""
    return column(db, query, {"resource": resource, "run": run_id})


def returned(db: Database) -> list[str]:
    """Return the customers that were gone, are back, and have not been read with their integrations yet."""
    query = "SELECT DISTINCT id FROM flexsync.met WHERE resource = $returned ORDER BY id"
    return column(db, query, {"returned": RETURNED})


def await_again(db: Database, resource: str, window: Window) -> None:
    """Await the ids of a window once more, before it is walked again: what was met may be gone by now.

    They stay in flexsync.met as well, so that an older row of a replica does not replace what this run has read.
    """
    db.execute(
        f"""INSERT INTO flexsync.met SELECT $awaited, id FROM {resource} t WHERE {_INSIDE}
        AND NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $awaited AND m.id = t.id)""",
        {"awaited": awaited(resource), "begins": window.begins, "ends": window.ends},
    )


def still_active(db: Database, ids: Sequence[str], before: datetime) -> list[str]:
    """Return those subscriptions of `ids` that are active or trialing and were last changed before a moment."""
    query = """SELECT id FROM subscriptions WHERE list_contains($ids, id) AND gone_at IS NULL
        AND subscription_status IN ('active', 'trialing') AND updated_at < $before ORDER BY id"""
    return column(db, query, {"ids": list(ids), "before": before})


def counted_before(db: Database, run_id: str, resource: str, window: Window) -> int | None:
    """Return what the server counted in a window when an earlier attempt of this run asked; the set is fixed."""
    query = """SELECT counted FROM flexsync.proof_windows WHERE run_id = $run AND resource = $resource
        AND begins IS NOT DISTINCT FROM $begins AND ends = $ends"""
    given = {"run": run_id, "resource": resource, "begins": window.begins, "ends": window.ends}
    found: list[int | None] = column(db, query, given)
    return found[0] if found else None


def save_count(db: Database, run_id: str, resource: str, each: Counted) -> None:
    """Store the counts of a window, in place of earlier ones of the same run."""
    window = {"begins": each.window.begins, "ends": each.window.ends}
    given = {"run": run_id, "resource": resource, **window}
    db.execute(
        """DELETE FROM flexsync.proof_windows WHERE run_id = $run AND resource = $resource
        AND begins IS NOT DISTINCT FROM $begins AND ends = $ends""",
        given,
    )
    db.execute(
        "INSERT INTO flexsync.proof_windows VALUES ($run, $resource, $begins, $ends, $counted, $stored)",
        {**given, "counted": each.existed, "stored": each.stored},
    )
