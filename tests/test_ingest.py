"""Ingest: batches of answers, without a run around them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import NOON, empty_store

from connector.pull.work import Item, Result
from connector.store.answers import fingerprint
from connector.store.ingest import Ingest
from connector.store.store import Store

FEATURE = {"id": "f", "name": "calls", "type": "metered", "updated_at": "2026-11-01T00:00:00Z"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    empty_store(tmp_path / "s.duckdb")
    with Store.open(tmp_path / "s.duckdb") as opened:
        opened.db.execute("INSERT INTO flexsync.sweep VALUES ('s1', 'c1', 'standalone', $t, $t)", {"t": NOON})
        yield opened


def item(number: int, previous: bytes | None = None, **more: Any) -> Item:
    fields: dict[str, Any] = {
        "resource": "usage",
        "customer_id": "c1",
        "subscription_id": "",
        "why": "active",
        "counted": "s1",
        "period_start": NOON,
        "sole": True,
        "fresh": previous is None,
        "context": "1|s1",
        "same_context": True,
        "previous_hash": previous,
        "previous_rows": None if previous is None else 1,
        "state": "pending",
        **more,
    }
    return Item(number, **{name: value for name, value in fields.items() if name in Item.__slots__})


def body(*figures: str, customer: str = "c1", subscription: str = "s1") -> bytes:
    features = [
        {
            "feature": {**FEATURE, "id": f"f{place}"},
            "total_limit": 10,
            "is_unlimited": False,
            "current_usage": figure,
            "usage_percent": "0.1",
            "next_usage_reset_at": "2026-12-01T00:00:00Z",
            "sources": [{"subscription_id": subscription, "entity_id": "p"}],
        }
        for place, figure in enumerate(figures)
    ]
    return json.dumps({"customer_id": customer, "features": features, "period": None}).encode()


def ingest(store: Store, *results: Result, run: str = "r1", final: bool = False) -> Any:
    taken = Ingest(store.db, run, store.tombstones)
    with store.transaction():
        return taken.ingest(results, final=final)


def answer(asked: Item, text: bytes | None, at: datetime = NOON, **more: Any) -> Result:
    return Result(asked, text, at, **more)


def figures(store: Store, table: str = "usage") -> list[Any]:
    query = f"SELECT feature_id, current_usage, run_id, observed_at FROM {table} ORDER BY 1"
    return store.rows(query)


def hash_of(store: Store) -> bytes:
    return bytes(store.rows("SELECT body_hash FROM flexsync.answers")[0][0])


def test_the_same_body_moves_nothing(store: Store) -> None:
    """An answer equal to the last good one leaves rows and their stamps alone, and is confirmed."""
    ingest(store, answer(item(1), body("5", "7")))
    before = figures(store)
    later = NOON + timedelta(days=1)
    done = ingest(store, answer(item(2, hash_of(store)), body("5", "7"), later), run="r2")
    assert (done.unchanged, done.counts.moved) == (1, 0)
    assert figures(store) == before
    assert store.rows("SELECT run_id, observed_at FROM flexsync.answers") == [("r2", later)]


def test_only_the_row_that_changed_moves(store: Store) -> None:
    """Of a body that differs in one figure, one row gets the new run; the other one stays untouched."""
    ingest(store, answer(item(1), body("5", "7")))
    done = ingest(store, answer(item(2, hash_of(store)), body("5", "8"), NOON + timedelta(1)), run="r2")
    assert done.counts.updated["usage"] == 1
    assert [(row[1], row[2]) for row in figures(store)] == [(Decimal(5), "r1"), (Decimal(8), "r2")]


def test_another_context_reads_the_same_body_anew(store: Store) -> None:
    """A body that is equal byte by byte is read again when the customer's subscriptions are others."""
    first, second = item(1), item(2, context="1|s1,s2")
    assert fingerprint(first, b"x") != fingerprint(second, b"x")
    assert fingerprint(first, b"x") == fingerprint(item(3), b"x")
    assert fingerprint(first, b"x" * 5000) != fingerprint(first, b"x" * 4999 + b"y")


def test_a_failed_call_leaves_the_last_good_rows(store: Store) -> None:
    """No answer: asked again, then failed; the rows of the last good answer stay."""
    ingest(store, answer(item(1), body("5")))
    before = figures(store)
    store.db.execute("INSERT INTO flexsync.queue (item, state) VALUES (2, 'pending')")
    for final, state in ((False, "again"), (True, "failed")):
        ingest(store, answer(item(2, b""), None, error="500", status=500), run="r2", final=final)
        assert store.rows("SELECT state, error, status FROM flexsync.queue") == [(state, "500", 500)]
        assert figures(store) == before


def test_a_feature_that_left_the_answer_leaves_the_table(store: Store) -> None:
    """A row goes only because its own customer's answer holds it no more."""
    ingest(store, answer(item(1), body("5", "7")), answer(item(2, customer_id="c2"), body("1", "2", customer="c2")))
    ingest(store, answer(item(3, b""), body("5")), run="r2")
    assert store.rows("SELECT customer_id, feature_id FROM usage ORDER BY ALL") == [
        ("c1", "f0"),
        ("c2", "f0"),
        ("c2", "f1"),
    ]


def test_a_reject_takes_no_other_row_along(store: Store) -> None:
    """One over-long decimal: its last good row stays, its neighbour is taken in, and mended it leaves the rejects."""
    ingest(store, answer(item(1), body("5", "7")))
    ingest(store, answer(item(2, b""), body("1" * 40, "8")), run="r2")
    assert [row[1] for row in figures(store)] == [Decimal(5), Decimal(8)]
    assert store.rows("SELECT owner, key, field FROM flexsync.rejects WHERE table_name = 'usage'") == [
        ("c1", "f0", "current_usage")
    ]
    assert store.rows("SELECT body_hash FROM flexsync.answers") == [(None,)]
    ingest(store, answer(item(3, None, fresh=False), body("6", "8")), run="r3")
    assert [row[1] for row in figures(store)] == [Decimal(6), Decimal(8)]
    assert store.rows("SELECT count(*) FROM flexsync.rejects") == [(0,)]


def test_a_held_zero_keeps_its_row_and_lets_the_others_in(store: Store) -> None:
    """Suspect in the first try: nothing is listed yet; in the second it is held and listed; the rest is taken in."""
    ingest(store, answer(item(1), body("5", "7")))
    asked = item(2, b"")
    store.db.execute("INSERT INTO flexsync.queue (item, state) VALUES (2, 'pending')")
    ingest(store, answer(asked, body("0", "8")), run="r2")
    assert store.rows("SELECT state FROM flexsync.queue") == [("again",)]
    assert store.rows("SELECT count(*) FROM flexsync.suspects") == [(0,)]
    ingest(store, answer(item(2, b"", state="again"), body("0", "8")), run="r2", final=True)
    assert store.rows("SELECT state FROM flexsync.queue") == [("held",)]
    assert [row[1] for row in figures(store)] == [Decimal(5), Decimal(8)]
    assert [row[1] for row in figures(store, "subscription_usage")] == [Decimal(5), Decimal(8)]
    assert store.rows("SELECT feature_id, kind, held, offered, runs FROM flexsync.suspects") == [
        ("f0", "zero", Decimal(5), Decimal(0), 1)
    ]


def test_a_batch_that_breaks_leaves_nothing(store: Store) -> None:
    """An error inside a batch takes everything of it back: rows, answers and marks."""
    taken = Ingest(store.db, "r1", store.tombstones)

    def broken() -> None:
        with store.transaction():
            taken.ingest([answer(item(1), body("5"))], final=False)
            raise KeyError("broken")

    with pytest.raises(KeyError):
        broken()
    for table in ("usage", "usage_sources", "subscription_usage", "features", "flexsync.answers"):
        assert store.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_lower_figure_that_is_believed_needs_no_second_call(store: Store) -> None:
    """A fall that is not suspicious is stored at once, in the copy for the customer's only subscription too."""
    ingest(store, answer(item(1), body("5")))
    store.db.execute("INSERT INTO flexsync.queue (item, state) VALUES (2, 'pending')")
    ingest(store, answer(item(2, b""), body("4")), run="r2")
    assert store.rows("SELECT state FROM flexsync.queue") == [("done",)]
    assert [row[1] for row in figures(store) + figures(store, "subscription_usage")] == [Decimal(4), Decimal(4)]


# --- features: one content for all customers -----------------------------------------------------------------------


def featured(
    number: int, name: str, updated_at: str = FEATURE["updated_at"], usage: bool = True, **more: Any
) -> Result:
    """An answer about a customer of its own, with one feature."""
    text = json.loads(body("5", customer=f"c{number}", subscription=f"s{number}"))
    text["features"][0]["feature"] |= {"name": name, "updated_at": updated_at}
    if not usage:
        text["features"] = [{"feature": text["features"][0]["feature"], "sources": [], "entitlement": {}}]
    resource = "usage" if usage else "entitlements"
    asked = item(number, customer_id=f"c{number}", counted=f"s{number}", resource=resource, **more)
    return answer(asked, json.dumps(text).encode())


def feature_name(store: Store) -> Any:
    return store.rows("SELECT name FROM features")[0][0]


def begin_run(store: Store) -> None:
    store.db.execute("DELETE FROM flexsync.met")


EARLY, LATE = "2026-11-01T00:00:00.1Z", "2026-11-01T00:00:00.5Z"


def test_a_feature_whose_edit_is_taken_back(store: Store) -> None:
    """Contents with one `updated_at`: the last to arrive stays, also if it came before, in any batch and resource."""
    taken = Ingest(store.db, "r1", store.tombstones)
    for batch in ([featured(1, "a")], [featured(2, "b")], [featured(3, "a")]):
        with store.transaction():
            taken.ingest(batch, final=False)
        assert feature_name(store) == json.loads(batch[-1].body or b"")["features"][0]["feature"]["name"]
    mixed = [featured(4, "a"), featured(5, "b", usage=False), featured(6, "c"), featured(7, "b", usage=False)]
    with store.transaction():
        taken.ingest(mixed, final=False)
    assert feature_name(store) == "b"


def test_a_feature_whose_edit_is_taken_back_in_the_next_batch(store: Store) -> None:
    """The content that stands is compared with the last one that arrived, not with the last one that was decoded."""
    taken = Ingest(store.db, "r1", store.tombstones)
    mixed = [featured(1, "a"), featured(2, "b", usage=False), featured(3, "c")]  # usage is decoded first
    for batch in (mixed, [featured(4, "b", usage=False)]):
        with store.transaction():
            taken.ingest(batch, final=False)
        assert feature_name(store) == json.loads(batch[-1].body or b"")["features"][0]["feature"]["name"]


def test_a_feature_that_a_server_behind_edited(store: Store) -> None:
    """Across runs the later content wins, whatever its `updated_at`; within a run the newer `updated_at` does."""
    ingest(store, featured(1, "first", LATE))
    ingest(store, featured(2, "older", EARLY))
    assert feature_name(store) == "first"
    begin_run(store)
    ingest(store, featured(3, "second", EARLY), run="r2")
    assert feature_name(store) == "second"


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_an_old_feature_beside_unchanged_answers(store: Store, late: bool) -> None:
    """An answer that is the last good one again says what its features are: an older content of a replica loses."""
    good = featured(1, "now", LATE)
    ingest(store, good)
    known = featured(1, "now", LATE, previous_hash=hash_of(store), fresh=False, previous_rows=1)
    stale = featured(2, "before", EARLY)
    begin_run(store)
    for result in [stale, known] if late else [known, stale]:
        done = ingest(store, result, run="r2")
    assert feature_name(store) == "now"
    assert done.unchanged == int(late)
