"""Random days of an account, with runs that are missed, killed, resumed and given up, against a plain model.

Histories are pruned meanwhile, and stores restored from publications that hold a part of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from histories import Diary, check_beyond, check_earlier, check_intervals, check_model
from hypothesis import strategies as st
from sizes import Size, sizes
from stores import KINDS, target
from support import Bent, World, calm

import connector
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.store.store import Store

HOUR, DAY = 3_600, 86_400
PLANS = ("Starter", "Team", "Scale")


class Life:
    """What happens to an account from outside, by chance.

    Attributes:
        names: what the server calls each plan by now; a rename moves no `updated_at`.
        drawn: the reset period that the server draws where sources tie.
    """

    def __init__(self, sandbox: Bent, chance: Random) -> None:
        self.sandbox, self.chance = sandbox, chance
        self.names = {plan: plan for plan in PLANS}
        self.drawn = "MONTHLY"
        self.hidden: list[str] = []
        self.changes = 0
        sandbox.bend = self._bend
        self.kinds: tuple[Callable[[], object], ...] = (
            self.update, self.update, self.backdate, self.touch, self.archive, self.hide, self.show, self.subscribe,
            self.subscribe, self.cancel, self.pause, self.stir, self.use, self.use, self.use, self.rename, self.draw,
        )  # fmt: skip

    def _bend(self, route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        for row in body.get("items", ()):
            name = (row.get("plan") or {}).get("name")
            if name in self.names:
                row["plan"]["name"] = self.names[name]
        for entry in body.get("features", ()):
            if len(entry["sources"]) > 1 and "usage_reset_period" in entry.get("entitlement", ()):
                entry["entitlement"]["usage_reset_period"] = self.drawn
        return body

    def some(self, most: int) -> None:
        """So many changes at most, each a moment after the one before."""
        for _ in range(self.chance.randrange(most + 1)):
            self.sandbox.clock.advance(self.chance.choice((0.000001, 0.4, 77.25)))  # type: ignore[attr-defined]
            self.chance.choice(self.kinds)()

    def meanwhile(self) -> None:
        """Between two calls of a run: now and then a customer has another name."""
        if self.chance.random() < 0.1:
            self.update()

    def _customer(self) -> str | None:
        ids = self.sandbox.customer_ids()
        return self.chance.choice(ids) if ids else None

    def _subscription(self) -> str | None:
        account = self.sandbox.account
        ids = [account.subscription(number)["id"] for number in range(account.subscriptions.count)]
        there = [id for id in ids if account.subscriptions.find(id) is not None]
        return self.chance.choice(there) if there else None

    def update(self, **more: Any) -> None:
        if id := self._customer():
            self.changes += 1
            self.sandbox.update_customer(id, name=f"Name {self.changes}", **more)

    def backdate(self) -> None:
        self.update(updated_at=self.sandbox.clock() - timedelta(days=self.chance.choice((0.01, 1, 3, 900))))

    def touch(self) -> None:
        if id := self._customer():
            self.sandbox.touch_customer(id)

    def archive(self) -> None:
        if id := self._customer():
            self.sandbox.archive_customer(id)

    def hide(self) -> None:
        if id := self.chance.choice((self._customer, self._subscription))():
            self.sandbox.hide(id)
            self.hidden.append(id)

    def show(self) -> None:
        if self.hidden:
            self.sandbox.show(self.hidden.pop())

    def subscribe(self) -> None:
        if id := self._customer():
            self.sandbox.add_subscription(id, self.chance.choice(PLANS))

    def cancel(self) -> None:
        if id := self._subscription():
            self.sandbox.cancel_subscription(id)

    def pause(self) -> None:
        if id := self._subscription():
            status = self.chance.choice(("paused", "active", "trialing"))
            self.sandbox.update_subscription(id, subscription_status=status)

    def stir(self) -> None:
        """An empty PUT of a subscription, whose plan may be renamed some nights later."""
        if id := self._subscription():
            self.sandbox.update_subscription(id)

    def use(self) -> None:
        if ids := self.sandbox.active_customer_ids():
            key = self.chance.choice(("api_calls", "storage_gb"))
            self.sandbox.set_usage(self.chance.choice(ids), key, self.chance.choice((0, 7, 9.5, 1200)))

    def rename(self) -> None:
        self.changes += 1
        self.names[self.chance.choice(PLANS)] = f"Plan {self.changes}"

    def draw(self) -> None:
        self.drawn = self.chance.choice(("DAILY", "WEEKLY", "MONTHLY"))


def night(diary: Diary, life: Life, chance: Random) -> None:
    """Changes, and a run; now and then it is killed, and resumed after more changes or given up."""
    diary.world.later(chance.choice((0.3, 0.9, 1, 3)) * DAY + chance.random())
    life.some(5)
    given = {"full": chance.random() < 0.4, "accept": frozenset({"all"} if chance.random() < 0.3 else ())}
    if chance.random() < 0.4:
        diary.sync(**given, max_calls=chance.randrange(6, 40))
        diary.world.later(chance.choice((60, HOUR, 30 * HOUR)))
        life.some(3)
    if chance.random() < 0.5:
        life.sandbox.between_calls(life.meanwhile)
    diary.sync(**given)
    life.sandbox.between_calls(None)


def copied(diary: Diary, chance: Random, folder: Path) -> str:
    """Publish somewhere, often less than the store has, and go on with a store that was restored from it, or not."""
    kind = chance.choice(KINDS)
    days = chance.choice((None, 0, 1.5, 4))
    since = None if days is None else diary.world.clock() - timedelta(days=days)
    with Store.open(diary.world.path) as store:
        publish(store, target(kind, folder), since=since, clock=diary.world.clock)
    if chance.random() < 0.5:
        diary.world.path.unlink()
        restore(target(kind, folder), diary.world.path)
    return target(kind, folder)


def check(path: Path | str, diary: Diary, chance: Random, pairs: int) -> None:
    with connector.open(path) as opened:
        check_intervals(opened)
        check_earlier(opened, diary)
        check_model(opened, diary, chance, pairs)
        check_beyond(opened)


def nights(seed: int, people: int, runs: int, pairs: int) -> None:
    """Some nights; then every question that is asked has the model's answer."""
    chance = Random(seed)
    kept = chance.choice(("400d", "0d", "1d", "3d"))
    sandbox = calm(people, seed, kind=Bent)
    assert isinstance(sandbox, Bent)
    with tempfile.TemporaryDirectory() as folder:
        diary = Diary(World(Path(folder), sandbox, audit_sample=0, history_keep=kept))
        life = Life(sandbox, chance)
        for _ in range(3):
            life.subscribe()
        for _ in range(runs):
            night(diary, life, chance)
            if chance.random() < 0.3:
                copied(diary, chance, Path(folder))
        check(copied(diary, chance, Path(folder)), diary, chance, pairs)
        check(diary.world.path, diary, chance, pairs)


@sizes(default=0, sampled=1, thorough=300)
def test_every_question_has_the_models_answer(size: Size) -> None:
    """Late and backdated updates, renames, gone and returning rows, killed runs, pruning, restores: both axes exact."""
    size.examples(
        nights,
        seed=st.integers(0, 2**32),
        people=st.integers(2, 6),
        runs=st.integers(2, 6),
        pairs=st.just(10 * min(size.count, 30)),
    )
