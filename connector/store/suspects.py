"""Suspects: figures that were held back because they may be a failure, and how often the same was offered.

Promised: a suspect is recorded after the second attempt only, and removed by the first good answer; a run that began
soon after the one that counted last does not count, and leaves that one's id in the row. Never done:
deciding what is suspect; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from connector.pull.suspicion import RUNS_APART
from connector.pull.work import Item, Result
from connector.store.batch import keys
from connector.store.database import Database, column, registered, rows

Suspect = dict[str, Any]
"""A row of flexsync.suspects, without `runs` and `run_id`."""
Key = tuple[str, str, str, str]

_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("resource", pa.string()),
        ("subscription_id", pa.string()),
        ("feature_id", pa.string()),
        ("kind", pa.string()),
        ("held", pa.decimal128(38, 18)),
        ("offered", pa.decimal128(38, 18)),
        ("runs", pa.int32()),
        ("run_id", pa.string()),
    ]
)


_RECENT = """SELECT r.run_id FROM flexsync.runs r JOIN flexsync.runs me ON me.run_id = $run
    WHERE r.run_id <> $run AND abs(epoch(me.started_at) - epoch(r.started_at)) < $apart"""
EARLIER_RUNS = "coalesce(x.runs - list_contains($recent, x.run_id)::INTEGER, 0)"
"""SQL: the runs that counted for suspect `x` and lie long enough before this one; `$recent` is `Suspects.recent`."""


class Suspects:
    """The suspects as one run's ingest uses them; asks the store nothing while there are none.

    Attributes:
        recent: runs that began so shortly before this one that it does not count beside them.
    """

    def __init__(self, db: Database, run_id: str) -> None:
        self.db = db
        self.run_id = run_id
        self._any = bool(rows(db, "SELECT 1 FROM flexsync.suspects LIMIT 1"))
        given = {"run": run_id, "apart": RUNS_APART.total_seconds()}
        self.recent: list[str] = column(db, _RECENT, given) if self._any else []

    def runs_before(self, item: Item) -> int:
        """Return how many runs in a row held back the whole answer to this call."""
        found = rows(
            self.db,
            f"""SELECT max({EARLIER_RUNS}) FROM flexsync.suspects x WHERE customer_id = $c AND resource = $r
            AND subscription_id = $s AND feature_id = '' AND run_id <> $run""",
            {
                "c": item.customer_id,
                "r": item.resource,
                "s": item.subscription_id,
                "run": self.run_id,
                "recent": self.recent,
            },
        )
        return int(found[0][0] or 0)

    def clear(self, results: Sequence[Result]) -> None:
        """Remove the suspects of answers that are good."""
        if not (self._any and results):
            return
        with registered(self.db, cleared=keys(results)):
            self.db.execute(
                """DELETE FROM flexsync.suspects x USING cleared c WHERE x.customer_id = c.customer_id
                AND x.resource = c.resource AND x.subscription_id = c.subscription_id"""
            )

    def record(self, results: Sequence[Result], found: list[Suspect]) -> None:
        """Replace the suspects of these answers by `found`, and count the runs that offered the same figure."""
        if not found:
            return
        self._any = True
        before = self._tally(results)
        self.clear(results)
        staged = []
        for suspect in found:
            staged.append({**suspect, **self._counted(suspect, *before.get(_key(suspect), (None, 0, "")))})
        with registered(self.db, held=pa.Table.from_pylist(staged, schema=_SCHEMA)):
            self.db.execute("INSERT INTO flexsync.suspects BY NAME SELECT * FROM held")

    def _counted(self, suspect: Suspect, offered: Any, runs: int, run_id: str) -> Suspect:
        """Return how many runs count for a suspect, and the last of them, given what was offered before, and when."""
        grown = suspect["kind"] == "lower" and offered is not None and 0 < offered <= suspect["offered"]
        if run_id in self.recent and (offered == suspect["offered"] or grown):
            return {"runs": runs, "run_id": run_id}
        return {"runs": runs + 1 if offered == suspect["offered"] else 1, "run_id": self.run_id}

    def _tally(self, results: Sequence[Result]) -> dict[Key, tuple[Any, int, str]]:
        """Return what earlier runs were offered for these answers, how many in a row counted, and the last of them."""
        query = """SELECT x.customer_id, x.resource, x.subscription_id, x.feature_id, x.offered, x.runs, x.run_id
            FROM flexsync.suspects x JOIN held h ON x.customer_id = h.customer_id AND x.resource = h.resource
            AND x.subscription_id = h.subscription_id WHERE x.run_id <> $run"""
        with registered(self.db, held=keys(results)):
            found = rows(self.db, query, {"run": self.run_id})
        return {(c, r, s, f): (offered, runs, run_id) for c, r, s, f, offered, runs, run_id in found}


def _key(suspect: Suspect) -> Key:
    return suspect["customer_id"], suspect["resource"], suspect["subscription_id"], suspect["feature_id"]


def suspect(item: Item, feature_id: str, kind: str, held: Any, offered: Any) -> Suspect:
    """Return a suspect of an answer.

    Args:
        item: the call.
        feature_id: the feature, or "" for the whole answer.
        kind: incomplete, foreign, ended, vanished, zero, lower or slow.
        held: the last good figure, or None.
        offered: the new figure, or None.
    """
    return {
        "customer_id": item.customer_id,
        "resource": item.resource,
        "subscription_id": item.subscription_id,
        "feature_id": feature_id,
        "kind": kind,
        "held": held,
        "offered": offered,
    }
