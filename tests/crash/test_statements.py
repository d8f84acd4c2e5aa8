"""A run over changes that is killed between any two SQL statements, and run again, ends with the truth.

`test_kill.py` kills first runs by calls, by time and by the log's growth, over HTTP. Here the account has changed since
the last run, and SIGKILL comes before a numbered statement: inside transactions, between a commit and the next one.
The process makes its calls on a sandbox of its own, which is the same for the same seed, and writes down each of them.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' helpers

from sizes import Size, sizes
from support import Rows, World, assert_exact, calm, counting, held, truth

from connector.store.store import Store

CUSTOMERS = 30
BATCH = 10
WORKERS = 4
CONTEXT = multiprocessing.get_context("forkserver")
NO_ZERO = """NOT (resource = 'usage' AND customer_id IN (SELECT customer_id FROM usage WHERE current_usage = 0
    UNION SELECT customer_id FROM subscription_usage WHERE current_usage = 0))"""  # those that may be asked for again
CONTEXT.set_forkserver_preload(  # one server serves all tests, so this names what each of them needs
    [
        "pytest",
        "pyarrow.dataset",
        "connector.publications.restore",
        "connector.sandbox",
        "pipelines.jobs",
        "pipelines.sync",
    ]
)


class Statements:
    """A connection that counts what is executed, and kills its process before statement number `kill_at`."""

    def __init__(self, db: Any, kill_at: int) -> None:
        self.db, self.left = db, kill_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def execute(self, *given: Any) -> Any:
        self._count()
        return self.db.execute(*given)

    def sql(self, *given: Any, **named: Any) -> Any:
        self._count()
        return self.db.sql(*given, **named)

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def scene(folder: Path, changed: bool) -> World:
    """The account of the first run; `changed`: as it is when the second one begins."""
    world = World(folder, calm(CUSTOMERS, seed=5), audit_sample=3, max_in_flight=WORKERS)
    if changed:
        sandbox, groups = world.sandbox, counting(world.sandbox)
        world.later(61)
        for place, customer in enumerate(sorted(groups)):
            if place % 4 == 0:
                sandbox.cancel_subscription(groups[customer][0]["id"])
            elif place % 4 == 1:
                sandbox.add_subscription(customer, "Scale")
            else:
                sandbox.update_customer(customer, name=f"Changed {place}")
        for number in range(8):
            made = sandbox.create_customer(name=f"New {number}")
            sandbox.add_subscription(made["id"], "Team")
    return world


def one_run(folder: str, changed: bool, kill_at: int) -> None:
    """What the killed process runs. Calls go to a file, one a line, as they are made."""
    from connector.pull import fan_out
    from connector.store import opening

    fan_out.BATCH = BATCH
    world = scene(Path(folder), changed)
    connect = opening.connect
    counted: list[Statements] = []

    def connected(path: Path) -> Statements:
        counted.append(Statements(connect(path), kill_at))
        return counted[-1]

    opening.connect = connected
    asked = os.open(f"{folder}/calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    world.sandbox.between_calls(lambda: os.write(asked, f"{_named(*world.sandbox.log[-1][1:3])}\n".encode()))
    world.sync(accept=frozenset({"all"}))
    Path(folder, "statements").write_text(str(-counted[-1].left))


def _named(path: str, query: Any) -> str:
    given = dict(query)
    parts = path.split("/")
    if path.endswith("/usage"):
        return f"usage {given['customer_id']} {given.get('subscription_ids', '')}"
    if path.endswith(("/entitlements", "/upcoming")):
        return f"{'entitlements' if path.endswith('/entitlements') else 'upcoming_grants'} {parts[3]} "
    return f"listing {path}"


def run(folder: Path, changed: bool, kill_at: int = 0) -> int | None:
    process = CONTEXT.Process(target=one_run, args=(str(folder), changed, kill_at))
    process.start()
    process.join(60)
    return process.exitcode


def committed(folder: Path) -> set[str]:
    """Calls that the store holds as answered by its open run."""
    with Store.open(folder / "store.duckdb") as store:
        if store.rows("SELECT status FROM flexsync.runs ORDER BY run_id DESC LIMIT 1") != [("running",)]:
            return set()
        query = f"SELECT resource, customer_id, subscription_id FROM flexsync.queue WHERE state = 'done' AND {NO_ZERO}"
        return {" ".join(row) for row in store.rows(query)}


def check_points(size: Size, folder: Path) -> None:
    base = folder / "base"
    base.mkdir()
    assert run(base, False) == 0
    (base / "calls").unlink()
    alone = shutil.copytree(base, folder / "alone")
    assert run(alone, True) == 0
    want = truth(scene(alone, True).sandbox)
    with Store.open(alone / "store.duckdb") as store:
        assert_exact(held(store), want)
    chance, statements = size.chance(), int((alone / "statements").read_text())
    killed = repeated_most = points = 0
    while points < size.count or (repeated_most == 0 and points < 4 * size.count):  # few points may miss the fan-out
        point, points = points, points + 1
        place = shutil.copytree(base, folder / str(point))
        killed += run(place, True, chance.randrange(1, statements)) == -signal.SIGKILL
        repeated_most = max(repeated_most, check_point(place, want))
        shutil.rmtree(place)
    # A run may have fewer statements than the one that counted them, so few points can miss its end.
    assert points - killed <= max(1, points // 10), f"only {killed} of {points} were killed"
    assert repeated_most > 0, "no kill came while answers were waiting for their commit"


def check_point(place: Path, want: dict[str, Rows]) -> int:
    """Run again after the kill, and look; returns how many per-customer calls were repeated."""
    with Store.open(place / "store.duckdb") as store:
        ended = store.rows("SELECT count(*) FROM flexsync.runs WHERE status IN ('green', 'degraded')")[0][0]
        if ended > 1:  # killed after its end: what it says of itself has to be true
            assert_exact(held(store), want)
    calls, done = place / "calls", committed(place)
    before = calls.read_text().splitlines() if calls.exists() else []
    assert run(place, True) == 0
    after = calls.read_text().splitlines()[len(before) :]
    again = {line for line in after if not line.startswith("listing")} & {*before}
    if ended == 1:  # killed before its end: the second run goes on, else a third one asks anew
        assert not again & done, "calls whose answers were committed were made again"
        assert len(again) <= 3 * WORKERS * 5 + 3 * BATCH, "more calls were repeated than could be under way"
    with Store.open(place / "store.duckdb") as store:
        (reasons,) = store.rows("SELECT reasons FROM flexsync.runs ORDER BY run_id DESC LIMIT 1")[0]
        assert not [reason for reason in reasons if "zeros rose" not in reason]  # new subscriptions have no use yet
        assert_exact(held(store), want)
        assert store.rows("SELECT count(*) = count(DISTINCT item) FROM flexsync.queue") == [(True,)]
        keys = "SELECT count(*), count(DISTINCT (customer_id, resource, subscription_id)) FROM flexsync.answers"
        assert len(set(store.rows(keys)[0])) == 1
    return len(again) if ended == 1 else 0


@sizes(default=0, sampled=6, thorough=400)
def test_a_run_killed_before_any_statement_ends_with_the_truth(tmp_path: Path, size: Size) -> None:
    """SIGKILL before seeded statements of an incremental run: the next run leaves every table exact."""
    check_points(size, tmp_path)
