"""Verdicts: which figures of a batch may be failures of the server, and are held back.

Staged figures are compared with the last good ones. Promised: a figure that is held back is named, with its kind; a
zero that nothing can be compared with is listed as unproven. The rules themselves are in `connector.pull`. Never done:
changing a data table; opening or committing a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connector.pull import suspicion
from connector.pull.completeness import named_subscriptions
from connector.pull.work import Item
from connector.store import zeros
from connector.store.batch import Batch, keys
from connector.store.database import Database, column, registered, rows
from connector.store.suspects import EARLIER_RUNS, Suspect, Suspects, suspect
from connector.tables.schemas import TABLES

WHOLE = ""  # stands for all features of an answer


@dataclass
class Verdicts:
    """A batch and what is suspect in it.

    Attributes:
        batch: the answers.
        held: index of an answer -> its suspect features, or `WHOLE`.
        admitted: (index, feature) of suspect figures that replace no earlier row: nothing can be kept instead, so they
            are stored and listed as suspects.
        suspects: rows for flexsync.suspects.
        left_out: index of an answer -> the subscriptions that it should name and does not, or should not and does.
        deprived: customers whose rows became another customer's when the batch was stored.
        outdated: customers whose answer names a subscription that the store does not know to count.
        accepted: customers whose incomplete answer is believed because somebody named them, in this run only.
        filled: indices of answers whose rows have the period of another subscription than the queue expected.
    """

    batch: Batch
    held: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    admitted: set[tuple[int, str]] = field(default_factory=set)
    suspects: list[Suspect] = field(default_factory=list)
    left_out: dict[int, set[str]] = field(default_factory=dict)
    deprived: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    filled: set[int] = field(default_factory=set)

    def hold(self, index: int, feature_id: str, kind: str, held: Any, offered: Any) -> None:
        """Hold a figure of an answer back."""
        self.held[index].add(feature_id)
        self.suspects.append(suspect(self.batch.results[index].item, feature_id, kind, held, offered))

    def usable(self) -> list[int]:
        """Return the indices of answers that were read and are not suspect as a whole."""
        failed = self.batch.decoded.failed
        return [i for i in range(len(self.batch.results)) if i not in failed and WHOLE not in self.held.get(i, ())]

    def unsuspected(self, index: int) -> bool:
        """Return whether an answer was read and nothing in it is suspect."""
        return index not in self.batch.decoded.failed and index not in self.held

    def good(self, index: int) -> bool:
        """Return whether its rows follow from its body and its item's context, so that an equal body may be skipped."""
        return self.unsuspected(index) and index not in self.filled

    def withheld(self, *, by_customer: bool) -> set[tuple[str, str]]:
        """Return the (owner, feature) pairs to keep out of a table whose owner is the customer, or the subscription."""
        return {
            (item.customer_id if by_customer else item.subscription_id or item.counted, feature)
            for i, features in self.held.items()
            for feature in features
            if (i, feature) not in self.admitted
            for item in (self.batch.results[i].item,)
            if not (by_customer and item.subscription_id)
        }


_FALLS = """SELECT s.customer_id, s.subscription_id, s.feature_id, t.current_usage, s.current_usage,
        f.meter_aggregation_type, x.offered, {earlier}, {asked}
    FROM staged s JOIN "{table}" t ON {keys} AND {window}
    LEFT JOIN features f ON f.id = s.feature_id
    LEFT JOIN flexsync.suspects x ON x.customer_id = s.customer_id AND x.resource = 'usage'
        AND x.subscription_id = CASE WHEN list_contains($alone, s.subscription_id) THEN {asked} ELSE '' END
        AND x.feature_id = s.feature_id AND x.run_id <> $run
    WHERE s.current_usage < t.current_usage"""
_FOREIGN = """SELECT DISTINCT g.customer_id FROM staged g JOIN subscriptions s ON s.id = g.subscription_id
    WHERE s.customer_id <> g.customer_id ORDER BY 1"""
_NAMING = {"usage": "usage", "entitlements": "entitlement_sources", "upcoming_grants": "upcoming_grants"}
_ENDED = """SELECT DISTINCT g.customer_id, s.id FROM staged g JOIN subscriptions s ON s.id = g.subscription_id
    WHERE s.customer_id = g.customer_id AND s.gone_at IS NULL
    AND s.subscription_status NOT IN ('active', 'trialing') ORDER BY ALL"""


class Judge:
    """Judges batches; one per run.

    Args:
        db: the store's connection.
        run_id: the run.
        accept: customers, or "all", whose lower figures are believed (`--accept-lower`).
        suspects: what earlier runs held back.
    """

    def __init__(self, db: Database, run_id: str, accept: frozenset[str], suspects: Suspects) -> None:
        self.db = db
        self.run_id = run_id
        self.accept = accept
        self.suspects = suspects

    def judge(self, batch: Batch) -> Verdicts:
        """Compare a batch with the last good figures. Features of the batch must be merged already."""
        verdicts = Verdicts(batch)
        if batch.resource == "entitlements":
            self._incomplete(verdicts)
        elif batch.resource == "upcoming_grants":
            self._foreign(verdicts)
        self._ended(verdicts)
        if batch.resource != "upcoming_grants":  # grants are used up: an empty list normally follows a full one
            self._vanished(verdicts)
        if batch.resource != "usage":
            return verdicts
        self._find_periods(verdicts)
        if all(r.item.fresh and not suspicion.slow(r.seconds) for r in batch.results):
            zeros.record_all(self.db, self.run_id, batch)
            return verdicts
        self._falls("usage", "''", verdicts)
        self._falls("subscription_usage", "s.subscription_id", verdicts)
        self._zeros(verdicts)
        return verdicts

    def _find_periods(self, verdicts: Verdicts) -> None:
        """Give figures the period of the subscription that their sources name, where the queue expected another one.

        Of two subscriptions that were created in the same microsecond the server counts either (contract.md 3.3, 6.4).
        """
        batch = verdicts.batch
        staged = batch.decoded.tables["usage"]
        named, periods = (staged.column(name).to_pylist() for name in ("subscription_id", "current_period_start"))
        unknown = sorted({id for id, period in zip(named, periods, strict=True) if id and period is None})
        if not unknown:
            return
        customers = staged.column("customer_id").to_pylist()
        lacking = {c for c, id, period in zip(customers, named, periods, strict=True) if id and period is None}
        verdicts.filled = {batch.index[customer, ""] for customer in lacking}
        query = """SELECT subscription_id, current_period_start FROM flexsync.sweep
            WHERE list_contains($ids, subscription_id)"""
        known: dict[str, Any] = dict(rows(self.db, query, {"ids": unknown}))
        found = [period or known.get(id) for id, period in zip(named, periods, strict=True)]
        place = staged.column_names.index("current_period_start")
        filled = pa.array(found, staged.schema.field(place).type)
        batch.decoded.tables["usage"] = staged.set_column(place, staged.schema.field(place), filled)

    def _incomplete(self, verdicts: Verdicts) -> None:
        """Hold answers back that leave out a subscription, on first sight too. No repetition makes that complete.

        An answer may also name more than the sweep has: it was made before or after the sweep was, and so were the
        customer's other answers. Once the subscription is known, or known to have ended, they have to be made again.
        """
        batch = verdicts.batch
        counting = self._counting(batch)
        more: dict[str, set[str]] = {}
        for i, result in enumerate(batch.results):
            named = None if i in batch.decoded.failed else named_subscriptions(result.body or b"")
            customer = result.item.customer_id
            known = counting.get(customer, set())
            missing = set() if named is None else known - named
            if missing and customer in self.accept:  # "all" is for figures: nobody has looked at this answer
                verdicts.accepted.add(customer)
            elif missing:
                verdicts.hold(i, WHOLE, "incomplete", None, None)
                verdicts.left_out[i] = missing
            if named and result.item.why == "active" and not named <= known:
                more[customer] = set(named - known)
        verdicts.outdated = self._without_rejected(more)

    def _without_rejected(self, more: dict[str, set[str]]) -> set[str]:
        """Return the customers of subscriptions that another listing may bring: those in quarantine it did bring."""
        if not more:
            return set()
        ids = sorted(set().union(*more.values()))
        query = "SELECT key FROM flexsync.rejects WHERE table_name = 'subscriptions' AND list_contains($ids, key)"
        rejected = set(column(self.db, query, {"ids": ids}))
        return {customer for customer, named in more.items() if named - rejected}

    def _foreign(self, verdicts: Verdicts) -> None:
        """Hold answers back that have a grant of a subscription which the listing knows as another customer's."""
        batch = verdicts.batch
        with registered(self.db, staged=batch.decoded.tables["upcoming_grants"]):
            for customer in column(self.db, _FOREIGN):
                verdicts.hold(batch.index[customer, ""], WHOLE, "foreign", None, None)

    def _ended(self, verdicts: Verdicts) -> None:
        """Hold answers back that have rows of a subscription which does not count.

        A replica that lags made them, or it began since; so it is read again. The usage and entitlements of customers
        with subscriptions that count are compared in other ways.
        """
        batch = verdicts.batch
        with registered(self.db, staged=batch.decoded.tables[_NAMING[batch.resource]]):
            found = rows(self.db, _ENDED)
        for customer, subscription in found:
            i = batch.index.get((customer, ""))
            if i is None or (i in verdicts.held and i not in verdicts.left_out):
                continue
            item = batch.results[i].item
            compared = item.why == "active" and batch.resource != "upcoming_grants"
            if not compared and not suspicion.believed(self.suspects.runs_before(item), customer, self.accept):
                if i not in verdicts.held:
                    verdicts.hold(i, WHOLE, "ended", None, None)
                verdicts.left_out.setdefault(i, set()).add(subscription)

    def _counting(self, batch: Batch) -> dict[str, set[str]]:
        """Return customer -> its subscriptions that count, as the sweep has them by now."""
        found: dict[str, set[str]] = defaultdict(set)
        with registered(self.db, asked=keys(batch.results)):
            query = """SELECT customer_id, subscription_id FROM flexsync.sweep WHERE customer_id IN (
                SELECT customer_id FROM asked) AND subscription_type IS DISTINCT FROM 'inherited'"""
            for customer, subscription in rows(self.db, query):
                found[customer].add(subscription)
        return found

    def _vanished(self, verdicts: Verdicts) -> None:
        """Hold whole answers back that lost features as when loading them failed."""
        batch = verdicts.batch
        lost = [
            i
            for i, result in enumerate(batch.results)
            if i not in batch.decoded.failed
            and i not in verdicts.held
            and _lost_features(result.item, batch.decoded.rows[i])
        ]
        active = self._active() if lost else set()
        for i in lost:
            item = batch.results[i].item
            if (item.subscription_id or item.customer_id) not in active:
                continue  # ended since the call was queued: an empty answer is what follows
            if not suspicion.believed(self.suspects.runs_before(item), item.customer_id, self.accept):
                verdicts.hold(i, WHOLE, "vanished", None, None)

    def _active(self) -> set[str]:
        """Ids of the subscriptions that count, and of their customers."""
        return {
            id
            for name in ("customer_id", "subscription_id")
            for id in column(self.db, f"SELECT {name} FROM flexsync.sweep")
        }

    def _falls(self, table: str, asked: str, verdicts: Verdicts) -> None:
        """Hold figures back that are lower than the last good ones of the same subscription and window.

        Args:
            table: usage or subscription_usage.
            asked: SQL for the subscription that a staged row was asked for; the empty string for the plain answer.
            verdicts: is added to.
        """
        batch = verdicts.batch
        if not batch.decoded.tables[table].num_rows:
            return
        keys = " AND ".join(f"s.{name} = t.{name}" for name in TABLES[table].key)
        alone = [subscription for _, subscription in batch.index if subscription] or [""]
        with registered(self.db, staged=batch.decoded.tables[table]):
            window, earlier = zeros.SAME_WINDOW, EARLIER_RUNS
            query = _FALLS.format(table=table, asked=asked, keys=keys, window=window, earlier=earlier)
            found = rows(self.db, query, {"run": self.run_id, "alone": alone, "recent": self.suspects.recent})
        for *fields, asked_for in found:
            fall = suspicion.Fall(*fields)
            i = batch.index.get((fall.customer_id, asked_for))
            if i is None:  # a sole subscription's copy of the plain answer, which may have counted another one before
                i = batch.index[fall.customer_id, ""]
                if fall.feature_id in verdicts.held.get(i, ()):
                    continue
            if suspicion.suspicious(fall, self.accept):
                kind = "zero" if fall.offered == 0 else "lower"
                verdicts.hold(i, fall.feature_id, kind, fall.held, fall.offered)

    def _zeros(self, verdicts: Verdicts) -> None:
        """Sort the zeros without an earlier figure of their window.

        A zero is suspect when the answer took as long as a failure takes. Any other is unproven: nobody can tell
        whether it is true (contract.md 11).
        """
        batch = verdicts.batch
        unproven: list[zeros.Zero] = []
        for zero in zeros.incomparable(self.db, self.run_id, batch, self.suspects.recent):
            i = batch.index.get((zero.customer_id, zero.asked))
            if i is None:  # a sole subscription's copy of the plain answer
                continue
            believed = suspicion.believed(zero.runs_before, zero.customer_id, self.accept)
            if suspicion.slow(batch.results[i].seconds) and not believed:
                verdicts.hold(i, zero.feature_id, "slow", None, 0)
                if batch.final and not zero.has_row:
                    verdicts.admitted.add((i, zero.feature_id))
            else:
                unproven.append(zero)
        zeros.record(self.db, self.run_id, unproven)


def _lost_features(item: Item, found: int) -> bool:
    """Return whether features vanished as when loading them failed (contract.md 6.2).

    Either all of them did; or some, although the same several subscriptions as last time should have given them: the
    server silently skips a subscription whose entitlements fail to load.
    """
    if item.why != "active" or not item.previous_rows:
        return False
    return not found or (found < item.previous_rows and not item.sole and item.same_context)
