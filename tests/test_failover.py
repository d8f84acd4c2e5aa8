"""Edits that the server loses after a run has read them: a replica takes over, or a backup is restored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import Bent, World, assert_exact, before, customers_of, held, rows_of, set_bend, subscriptions_of, synced

from connector.errors import BudgetSpent
from connector.sandbox.replies import refuse
from connector.store.store import Store

LISTINGS = ("customers", "subscriptions")
SENT = {"customers": customers_of, "subscriptions": subscriptions_of}
Rows = dict[str, dict[str, Any]]


class Asked(Bent):
    """A sandbox that notes the questions for ids, and can refuse them."""

    by_id = 0
    refuses = False

    def handle(self, call: Any) -> Any:
        body = json.loads(call.body or b"{}")
        filters = [each["operator"] for each in body.get("filters", ()) if each["field"] == "id"]
        if "customer_ids" in body or "in" in filters:
            self.by_id += 1
            if self.refuses:
                refuse("validation_error", "Invalid filter parameters")
        return super().handle(call)


class Night(World):
    """An account of which only the listings are read."""

    sandbox: Asked

    def kept(self) -> dict[str, Rows]:
        """A backup of the account."""
        return {name: {row["id"]: row for row in sent(self.sandbox)} for name, sent in SENT.items()}

    def put_back(self, backup: dict[str, Rows]) -> None:
        """Restore a backup: what was edited or created since is lost."""
        now = self.kept()
        for id, row in now["customers"].items():
            old = backup["customers"].get(id)
            if old is None:
                self.sandbox.remove_customer(id)
            elif old["updated_at"] != row["updated_at"]:
                fields = {name: old[name] for name in ("name", "status", "updated_at")}
                self.sandbox.update_customer(id, **fields)
        for id, old in backup["subscriptions"].items():
            if old["updated_at"] != now["subscriptions"][id]["updated_at"]:
                self.sandbox.update_subscription(id, version=old["version"], updated_at=old["updated_at"])
        assert {name: rows.keys() for name, rows in self.kept().items()} == {k: v.keys() for k, v in backup.items()}

    def green(self, gone: int = 0) -> int:
        """An incremental run that is green and right; return how many questions for ids it asked."""
        before = self.sandbox.by_id
        report = self.sync()
        assert (report.status, report.reasons, report.mode) == ("green", [], "incremental")
        self.right(gone)
        return self.sandbox.by_id - before

    def right(self, gone: int = 0) -> None:
        """The listings are what the account holds; so many further customers are marked as gone."""
        with Store.open(self.path) as store:
            have, want = held(store), {name: rows_of(name, sent(self.sandbox)) for name, sent in SENT.items()}
        marked = [key for key, row in have["customers"].items() if row["gone_at"]]
        assert len(marked) == gone
        have["customers"] = {key: row for key, row in have["customers"].items() if key not in marked}
        assert_exact(have, want)

    def edit(self, *ids: str, name: str = "Edited", gap: float = 0.0) -> None:
        """Edit customers, one after the other."""
        for id in ids:
            self.sandbox.update_customer(id, name=name)
            self.later(gap)

    def ended(self) -> list[str]:
        rows = subscriptions_of(self.sandbox)
        return [row["id"] for row in rows if row["subscription_status"] not in ("active", "trialing")]


def night(folder: Path, customers: int = 12) -> Night:
    """A night, an hour after a green first run."""
    made = synced(folder, customers, Asked, only=LISTINGS)
    found = Night(folder, made.sandbox, only=LISTINGS)
    found.later(3600)
    return found


# --- what is lost ----------------------------------------------------------------------------------------------------


def edit_customer(w: Night) -> None:
    """A customer has another name."""
    w.edit(w.sandbox.customer_ids("published")[0])


def archive(w: Night) -> None:
    """A customer is archived."""
    w.sandbox.archive_customer(w.sandbox.customer_ids("published")[0])


def edit_subscription(w: Night) -> None:
    """A subscription that has ended changes."""
    w.sandbox.update_subscription(w.ended()[0], version=9)


@pytest.mark.sampled
@pytest.mark.parametrize("act", [edit_customer, sampled(archive), sampled(edit_subscription)])
def test_an_edit_that_the_server_lost_is_undone_here_too(tmp_path: Path, act: Callable[[Night], None]) -> None:
    """A replica without the last commits takes over: what an earlier run read has its old `updated_at` again."""
    w = night(tmp_path)
    backup = w.kept()
    act(w)
    assert w.green() == 0
    w.put_back(backup)
    w.later(900)
    w.edit(w.sandbox.customer_ids("published")[1], name="Later")
    assert w.green() > 0
    w.later(900)
    assert w.green() == 0


@pytest.mark.sampled
def test_the_first_archive_of_an_account_is_undone(tmp_path: Path) -> None:
    """The walk of archived customers has never had a row, so it has no cursor; and the server loses the only one."""
    w = night(tmp_path, 3)
    backup, [first, *_] = w.kept(), w.sandbox.customer_ids("published")
    assert not w.sandbox.customer_ids("archived")
    left = [1]

    def archive_late() -> None:
        if left[0] and w.sandbox.calls["POST /subscriptions/search"] > begun:
            left[0] = 0
            w.sandbox.archive_customer(first)

    begun = w.sandbox.calls["POST /subscriptions/search"] + 3  # the run has begun, and walked
    w.sandbox.between_calls(archive_late)
    assert w.sync().status == "green"
    w.sandbox.between_calls(None)
    assert w.rows("SELECT cursor FROM flexsync.cursors WHERE resource = 'customers/archived'") == [(None,)]
    w.right()
    w.put_back(backup)
    w.later(900)
    assert w.green() > 0


@pytest.mark.sampled
def test_a_restored_backup_undoes_edits_of_hours(tmp_path: Path) -> None:
    """Of three lost edits only the newest lies in the window: it shows the loss, and all rows are read again."""
    w = night(tmp_path)
    backup, [first, second, third, *_] = w.kept(), w.sandbox.customer_ids("published")
    w.edit(first, second, gap=7200)
    w.sandbox.update_subscription(w.ended()[0], version=9)
    w.later(7200)
    w.sandbox.create_customer(name="New")
    w.later(7200)
    w.edit(third)
    w.sandbox.update_subscription(w.ended()[1], version=9)
    assert w.green() == 0
    w.put_back(backup)
    w.later(3600)
    w.edit(w.sandbox.customer_ids("published")[-1], name="Later")
    active = next(id for id in w.kept()["subscriptions"] if id not in w.ended())
    w.sandbox.update_subscription(active, version=9)
    report = w.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    assert len([note for note in report.notes if "the server has lost edits" in note]) == 2
    w.right(gone=1)
    w.later(3600)
    assert w.green(gone=1) == 0


# --- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_an_ordinary_night_asks_for_no_row(tmp_path: Path) -> None:
    """Customers are edited, archived and created, and some again in mid-run: the walks name them all."""
    w = night(tmp_path)
    busy, other, gone = *w.sandbox.customer_ids("published")[:2], w.ended()[0]
    old = w.sandbox.archive_customer(w.sandbox.create_customer(name="Old")["id"])["id"]
    w.edit(busy, other, gap=60)
    assert w.green() == 0
    for again in (6, 3):
        w.later(3600)
        w.edit(busy, old, gap=60)
        w.sandbox.archive_customer(w.sandbox.create_customer(name="New")["id"])
        w.sandbox.update_subscription(gone, version=9)
        w.sandbox.between_calls(edits(w, busy, again))
        assert w.sync().status == "green"
        w.sandbox.between_calls(None)
    assert w.green() == 0
    assert w.sandbox.by_id == 0


def edits(w: Night, id: str, times: int) -> Callable[[], None]:
    """Edit a customer before each of so many calls."""
    left = iter(range(times))

    def edit() -> None:
        for number in left:
            w.edit(id, name=f"Edited {number}", gap=1)
            break

    return edit


@pytest.mark.sampled
def test_a_row_that_was_read_just_now_is_left_to_its_replica(tmp_path: Path) -> None:
    """A replica lags five minutes behind an edit that was read: the store keeps it, and takes nothing for lost."""
    w = night(tmp_path)
    backup, customer = w.kept(), w.sandbox.customer_ids("published")[0]
    w.edit(customer)
    edited = w.kept()["customers"][customer]
    assert w.green() == 0
    w.put_back(backup)
    w.later(300)
    report = w.sync()
    assert (report.status, report.notes) == ("green", []), report.reasons
    w.sandbox.update_customer(customer, name="Edited", updated_at=edited["updated_at"])
    w.right()
    w.later(900)
    assert w.green() == 0


@pytest.mark.sampled
def test_a_row_that_does_not_fit_is_not_gone(tmp_path: Path) -> None:
    """An edited row is edited again to what does not fit: it is asked for by id in vain, and stays, with its reject."""
    w = night(tmp_path)
    customer = w.sandbox.customer_ids("published")[0]
    w.edit(customer)
    assert w.green() == 0
    w.later(1)
    w.edit(customer, name="Odd")

    def bend(_route: str, _path: Any, _query: Any, body: Any) -> Any:
        for row in body.get("items", ()):
            row.update({"created_by": "\ud800"} if row["id"] == customer else {})
        return body

    set_bend(w, bend)
    w.later(900)
    assert w.sync().status == "degraded"
    assert w.rows(f"SELECT name, gone_at FROM customers WHERE id = '{customer}'") == [("Edited", None)]
    assert w.rows("SELECT key FROM flexsync.rejects") == [(customer,)]
    set_bend(w, None)
    w.later(900)
    w.sync()
    w.right()


# --- what comes in between -------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_questions_that_are_refused_are_asked_by_the_next_run(tmp_path: Path) -> None:
    """The server refuses the question for a lost edit: the run is degraded, and the next one asks and mends."""
    w = night(tmp_path)
    backup = w.kept()
    w.edit(w.sandbox.customer_ids("published")[0])
    assert w.green() == 0
    w.put_back(backup)
    w.sandbox.refuses = True
    for _ in range(2):
        w.later(900)
        w.edit(w.sandbox.customer_ids("published")[1], name="Later")
        report = w.sync()
        assert report.status == "degraded"
        assert any("edits that no walk named again" in reason for reason in report.reasons), report.reasons
    w.sandbox.refuses = False
    w.later(900)
    assert w.green() > 0


@pytest.mark.sampled
@pytest.mark.parametrize("after", range(9))
def test_a_run_that_is_stopped_at_a_lost_edit_mends_all_of_them(tmp_path: Path, after: int) -> None:
    """Stopped so many calls after it has begun to look for lost edits and resumed, a run ends green and right."""
    w = night(tmp_path, 5)
    backup, [first, second, third, *_] = w.kept(), w.sandbox.customer_ids("published")
    w.edit(first, second, gap=7200)
    assert w.green() == 0
    w.put_back(backup)
    w.later(3600)
    w.edit(third, name="Later")
    with pytest.raises(BudgetSpent):
        w.sync(max_calls=18 + after)  # the first 18 read what has changed
    assert w.sandbox.by_id == min(after, 2), "a question for each status of customers"
    report = w.sync()
    assert (report.status, report.resumed) == ("green", 1), report.reasons
    w.right()


@pytest.mark.sampled
def test_a_row_that_is_gone_costs_one_listing(tmp_path: Path) -> None:
    """An edited customer is deleted by hand, as if a backup without it was restored: all are listed again, once."""
    w = night(tmp_path, 5)
    gone, other, *_ = w.sandbox.customer_ids("published")
    w.edit(other, gone)
    assert w.green() == 0
    w.sandbox.remove_customer(gone)
    w.later(3600)
    with pytest.raises(BudgetSpent):
        w.sync(max_calls=22)
    assert w.sandbox.by_id == 2
    report = w.sync()
    assert (report.status, report.resumed, len(report.notes)) == ("green", 1, 2), report.reasons
    w.right(gone=1)
    w.later(3600)
    report = w.sync()
    assert (report.status, report.notes) == ("green", []), report.reasons


# --- what shows a loss -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", ["created customer", sampled("edited active"), sampled("created active")])
def test_any_sign_of_a_loss_has_all_read_again(tmp_path: Path, newest: str) -> None:
    """The newest lost change is no unnamed edit; those 20 minutes before it, in both listings, are undone as well."""
    w = night(tmp_path)
    backup, customer, ended = w.kept(), w.sandbox.customer_ids("published")[2], w.ended()[0]
    active = [id for id in backup["subscriptions"] if id not in w.ended()]
    w.edit(customer)
    w.sandbox.update_subscription(ended, version=9)
    w.later(1200)
    if newest == "created customer":
        w.sandbox.create_customer(name="New")
    elif newest == "edited active":
        w.sandbox.update_subscription(active[0], version=9)
    else:
        created = w.sandbox.add_subscription(customer)
    w.later(7200)
    assert w.green() == 0
    w.later(3600)
    if newest == "created active":
        w.sandbox.remove_subscription(created)
    w.put_back(backup)
    w.later(1800)
    w.edit(w.sandbox.customer_ids("published")[-1], name="Later")
    w.sandbox.update_subscription(active[1], version=9)
    w.later(80000)
    report = w.sync()
    assert (report.status, report.mode, len(report.notes)) == ("green", "incremental", 2), report.reasons
    gone = [id for (id,) in w.rows("SELECT id FROM customers WHERE gone_at IS NOT NULL")]
    assert w.rows(f"SELECT version FROM subscriptions WHERE id = '{ended}'") == [
        (backup["subscriptions"][ended]["version"],)
    ]
    assert w.rows(f"SELECT name FROM customers WHERE id = '{customer}'") == [(backup["customers"][customer]["name"],)]
    assert len(gone) == (newest == "created customer")
    w.later(80000)
    report = w.sync()
    assert (report.status, report.notes) == ("green", []), report.reasons


@pytest.mark.sampled
def test_a_loss_that_a_run_met_before_it_was_given_up_makes_the_next_run_full(tmp_path: Path) -> None:
    """The sweep has repaired the row that shows the loss, the run is stopped and never resumed: the next reads all."""
    w = night(tmp_path)
    backup, ended = w.kept(), w.ended()[0]
    active = [id for id in backup["subscriptions"] if id not in w.ended()]
    w.sandbox.update_subscription(ended, version=9)
    w.later(1200)
    w.sandbox.update_subscription(active[0], version=9)
    w.later(7200)
    assert w.green() == 0
    w.put_back(backup)
    w.later(1800)
    w.sandbox.update_subscription(active[1], version=9)
    with pytest.raises(BudgetSpent), before(close=stop):
        w.sync()
    w.later(2 * 86400)
    report = w.sync()
    assert (report.status, report.mode) == ("green", "full"), report.reasons
    w.right()
    w.later(3600)
    assert w.green() == 0


def stop() -> None:
    """End a run as --max-calls and --deadline do."""
    raise BudgetSpent("no calls are left")
