"""The certificate's arithmetic, and the judging of figures that may be failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector.pull.certificate import Certificate, ChildProof, Counted, ListingProof, Totals, ZeroWatch
from connector.pull.proof_windows import Window
from connector.pull.suspicion import Fall, slow, suspicious

T0 = datetime(2026, 11, 20, tzinfo=UTC)


def fall(held: int, offered: int, kind: str | None, before: int | None = None, runs: int = 0) -> Fall:
    decimal = None if before is None else Decimal(before)
    return Fall("c", "s", "f", Decimal(held), Decimal(offered), kind, decimal, runs)


@pytest.mark.parametrize(
    ("judged", "held"),
    [
        (fall(5, 0, "SUM"), True),
        (fall(5, 0, None), True),
        (fall(5, 0, "SUM", 0, 1), True),
        (fall(5, 0, "SUM", 0, 2), False),
        (fall(5, 0, "SUM", 3, 2), True),  # zero was not what was offered before
        (fall(5, 4, "SUM"), False),
        (fall(5, 4, "LATEST"), False),
        (fall(5, 4, "COUNT"), True),
        (fall(5, 4, "MAX"), True),
        (fall(5, 4, "COUNT_UNIQUE", 4, 1), False),
        (fall(9, 5, "COUNT", 4, 1), False),  # use went on
        (fall(9, 3, "COUNT", 4, 1), True),  # fell again
        (fall(9, 3, "COUNT", 0, 2), True),  # zeros before say nothing about three
    ],
)
def test_which_falls_are_held(judged: Fall, held: bool) -> None:
    """Zeros are believed in the third run, growing aggregations in the second, others at once."""
    assert suspicious(judged) is held
    assert not suspicious(judged, frozenset({"all"}))
    assert not suspicious(judged, frozenset({"c"}))
    assert suspicious(judged, frozenset({"another"})) is held


def test_slow_is_the_servers_own_time_out() -> None:
    """Ten seconds are slow, anything less is not."""
    assert slow(10.0)
    assert not slow(9.99)


def test_totals_count_only_when_they_agree() -> None:
    """Published before and after must be equal; their sum with the archived is who existed."""
    assert Totals(3, 2, 3).agree
    assert Totals(3, 2, 3).existed == 5
    assert not Totals(3, 2, 2).agree


def counted(existed: int | None, stored: int) -> ListingProof:
    return ListingProof("customers", T0, [Counted(Window(None, T0), existed, stored)])


def test_totals_that_agree_by_accident_do_not_hold() -> None:
    """One row too few in a window and one too many in the next: the sums agree, and the proof says where not."""
    middle = T0 - timedelta(days=1)
    windows = [Counted(Window(None, middle), 3, 2), Counted(Window(middle, T0), 1, 2)]
    proof = ListingProof("customers", T0, windows)
    assert (proof.existed, proof.stored, proof.holds) == (4, 4, False)
    assert "2 windows of created_at differ" in proof.reasons()[0]
    assert not Certificate("r", counted(1, 1), subscriptions=proof).green


@pytest.mark.parametrize(("existed", "stored", "holds"), [(5, 5, True), (5, 4, False), (4, 5, False), (None, 5, False)])
def test_a_certificate_holds_on_equality_alone(existed: int | None, stored: int, holds: bool) -> None:
    """Fewer and more are both wrong, and so is not knowing; each says why."""
    proof = counted(existed, stored)
    certificate = Certificate("r", proof)
    assert certificate.green is holds
    assert bool(certificate.reasons) is not holds
    assert certificate.plain()["customers"]["holds"] is holds


@pytest.mark.parametrize("field", ["failed", "suspect", "rejected", "contradicted", "doubtful"])
def test_anything_outstanding_of_a_child_degrades(field: str) -> None:
    """A missing, failed, suspect, rejected, contradicted or doubtful answer makes the certificate red and is named."""
    good = counted(1, 1)
    assert Certificate("r", good, [ChildProof("usage", 3, 3)]).green
    assert not Certificate("r", good, [ChildProof("usage", 3, 2)]).green
    owed = 4 if field == "failed" else 3
    child = ChildProof("usage", owed, 3, **{field: 1}, examples=["c7: why"])
    (reason,) = Certificate("r", good, [child]).reasons
    assert reason.startswith("usage: 1 ")
    assert Certificate("r", good, rejected=2).reasons == ["2 rows of listings do not fit and are in flexsync.rejects"]
    assert not Certificate("r", None).green
    assert not Certificate("r", good, faults=["x"]).green


def test_a_reason_shows_three_and_counts_the_others() -> None:
    """Of many suspects, failed calls and customers, a reason shows three, counts the rest, and names the table."""
    three = ["a", "b", "c"]
    child = ChildProof("usage", 30, 18, failed=12, suspect=4, examples=three, suspects=["x", "y", "z"], doubtful=3)
    assert child.reasons() == [
        "usage: 12 calls failed: a; b; c; and 9 more",
        "usage: 4 figures are suspect and keep their last good value (flexsync.suspects): x; y; z; and 1 more",
        "usage: 3 answers were given while the server was failing, twice",
    ]
    (reason,) = ChildProof("entitlements", 30, 30, contradicted=5, contradicting=three).reasons()
    assert reason.endswith("loading some failed: a, b, c, and 2 more")
    assert ChildProof("usage", 3, 3, suspect=1, suspects=["x"]).reasons()[0].endswith("(flexsync.suspects): x")


@pytest.mark.parametrize(
    ("watch", "red"),
    [
        (ZeroWatch(100, 30, 0, 0.25), False),
        (ZeroWatch(100, 45, 0, 0.25), True),
        (ZeroWatch(100, 44, 0, 0.25), False),
        (ZeroWatch(50, 25, 0, 0.25), True),
        (ZeroWatch(49, 49, 0, 0.25), False),  # one customer's new plan does that to a small account
        (ZeroWatch(50, 50, 50, None), True),
        (ZeroWatch(49, 49, 49, None), False),
        (ZeroWatch(50, 50, 0, 1.0), False),
        (ZeroWatch(0, 0, 0, None), False),
        (ZeroWatch(0, 0, 0, 0.9), False),
        (ZeroWatch(9, 4, 4, None, figures=12, probed=4), False),
        (ZeroWatch(9, 4, 4, None, figures=12, probed=0), False),  # no probe says that they are false
        (ZeroWatch(9, 4, 0, 0.4, figures=12, doubtful=1), True),
    ],
)
def test_zeros_in_bulk(watch: ZeroWatch, red: bool) -> None:
    """A jump by twenty points, or fifty rows that are all zero, is a failure until shown otherwise."""
    assert bool(watch.reasons()) is red
