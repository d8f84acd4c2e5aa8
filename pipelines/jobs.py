"""The jobs behind the commands: sync, dry run, status, state. Each returns data; the command prints.

Promised: SIGINT and SIGTERM end a job with its state kept; whatever is opened is closed. Never done: printing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from connector.api import calls
from connector.api.client import AsyncFlexprice
from connector.errors import FixInput, Interrupted, LockHeld
from connector.publications import contents, targets
from connector.publications import reading as copies
from connector.publications.restore import restore
from connector.settings import Settings
from connector.store.store import Store
from connector.tables.resources import CHILDREN, chosen
from connector.tables.schemas import TABLES
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync import Options, Sync, publish_all

T = TypeVar("T")


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT and SIGTERM cancel it. Raises `Interrupted` then, after it has tidied up.

    From then on further ones are ignored: the store is about to be closed, and that must not be cut.
    """
    after = {number: signal.getsignal(number) for number in SIGNALS}
    handled: list[signal.Signals] = []
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(work)
            for number in SIGNALS:
                try:
                    loop.add_signal_handler(number, task.cancel)
                    handled.append(number)
                except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                    break
            try:
                return loop.run_until_complete(task)
            except asyncio.CancelledError:
                after = dict.fromkeys(SIGNALS, signal.SIG_IGN)
                for number in handled:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_IGN)
                raise Interrupted(
                    "interrupted.", remedy="State is kept: the same command goes on from there."
                ) from None
    finally:
        for number in handled:  # the loop leaves SIGTERM to the system
            signal.signal(number, after[number])


# --- sync -------------------------------------------------------------------------------------------------------


def sync(settings: Settings, options: Options, progress: Progress) -> Report:
    """Load once and publish. Restores the store from the newest publication when it is missing."""
    settings.require_key()
    chosen(settings.sync.only)
    check_targets(settings)
    restored = _restore(settings)
    if restored:
        progress.note(f"{settings.sync.store} was missing: restored from {restored}")
    with Store.open(settings.sync.store) as store:
        report = run(_sync(settings, store, options, progress))
        publish_all(store, settings, report)
        progress.ended(report.plain())
        return report


def check_targets(settings: Settings) -> None:
    """Say before the run, not after it, what cannot be published. Raises `FixInput`."""
    contents.excluded(settings.privacy.exclude)
    for target in settings.sync.publish:
        place = targets.parse(target)
        if place.path == settings.sync.store.resolve():
            raise FixInput(f"{target} is the working store itself.", remedy="Give the publication a name of its own.")
        if not place.path.parent.is_dir():
            raise FixInput(f"{place.path.parent} does not exist.", remedy=f"Make the folder, or mend {target}.")


def existing(settings: Settings) -> Store:
    """Open the store for writing, and do not make one. Raises `FixInput`, `LockHeld`."""
    if not settings.sync.store.exists():
        raise FixInput(f"{settings.sync.store} does not exist.", remedy="Mend --store, or run `flexsync sync` first.")
    return Store.open(settings.sync.store)


def _restore(settings: Settings) -> str:
    if settings.sync.store.exists():
        return ""
    newest = copies.newest(settings.sync.publish)
    if newest:
        restore(newest, settings.sync.store)
    return newest or ""


async def _sync(settings: Settings, store: Store, options: Options, progress: Progress) -> Report:
    async with AsyncFlexprice(settings, on_call=progress.called) as api:
        return await Sync(settings, api, store, options, progress).run()


def dry_run(settings: Settings, options: Options) -> dict[str, Any]:
    """Count what a sync would read; writes nothing anywhere."""
    chosen(settings.sync.only)
    return run(_dry_run(settings, options))


async def _dry_run(settings: Settings, options: Options) -> dict[str, Any]:
    async with AsyncFlexprice(settings) as api:
        since = None if options.full else _cursor(settings)
        counts: dict[str, int] = {}
        for status in ("published", "archived"):
            body = {"status": status, "limit": 1, **_changed(since)}
            counts[f"customers {status}"] = await total(api, calls.search_customers(body))
        body = {"subscription_status": ["active", "trialing"], "limit": 1}
        counts["subscriptions that count"] = await total(api, calls.search_subscriptions(body))
        pages = sum(-(-count // calls.PAGE) or 1 for count in counts.values())
        children = [name for name in chosen(settings.sync.only) if any(c.name == name for c in CHILDREN)]
        return {
            "since": since.isoformat() if since else None,
            "rows": counts,
            "calls": {
                "listings, about": pages + 8,
                "per customer, at most": counts["subscriptions that count"] * len(children),
                "audit sample": settings.sync.audit_sample * 2,
            },
        }


def _changed(since: datetime | None) -> dict[str, Any]:
    return {"filters": [calls.after("updated_at", since)]} if since else {}


async def total(api: AsyncFlexprice, call: calls.Call) -> int:
    """Ask a listing how many rows it has."""
    return int((await api.send(call)).json()["pagination"]["total"])


def _cursor(settings: Settings) -> datetime | None:
    if not settings.sync.store.exists():
        return None
    with copies.open(settings.sync.store) as reading:
        found = reading.sql("SELECT min(cursor) FROM flexsync.cursors").column(0)[0].as_py()
        return found - settings.sync.overlap if found else None


# --- looking at what is there -------------------------------------------------------------------------------------


@contextmanager
def reading(settings: Settings, path: str | None = None) -> Iterator[tuple[Any, str]]:
    """Open what there is to read: `path`, else the store, else (held by a sync) the newest publication.

    Yields:
        The open reading, and a remark about what it is when it is not the store.
    """
    source = Path(path) if path else settings.sync.store
    remark = ""
    try:
        opened = copies.open(source)
    except LockHeld:
        newest = copies.newest(settings.sync.publish)
        if not newest:
            raise
        opened, remark = copies.open(newest.partition(":")[2]), f"a sync holds {source}; this is {newest}"
    try:
        yield opened, remark
    finally:
        opened.close()


def status(settings: Settings, max_age: timedelta | None) -> dict[str, Any]:
    """Say how old and how whole the copy is; `stale` when the last finished run began earlier than `max_age` ago."""
    with reading(settings) as (opened, remark):
        runs = opened.sql(
            """SELECT run_id, mode, status, started_at, finished_at, calls, reasons FROM flexsync.runs
            ORDER BY run_id DESC LIMIT 5"""
        ).to_pylist()
        for entry in runs:
            if entry["status"] == "running" and not remark:  # nobody holds the store: it was killed
                entry["status"] = "interrupted"
        done = [entry for entry in runs if entry["status"] in ("green", "degraded")]
        age = datetime.now(UTC) - done[0]["started_at"] if done else None
        tables = {name: opened.sql(f'SELECT count(*) FROM "{name}"').column(0)[0].as_py() for name in TABLES}
        rejects = opened.sql("SELECT count(*) FROM flexsync.rejects").column(0)[0].as_py()
        suspects = opened.sql("SELECT count(*) FROM flexsync.suspects").column(0)[0].as_py()
    stale = age is None or bool(max_age and age > max_age)
    return {
        "source": remark or str(settings.sync.store),
        "age_seconds": round(age.total_seconds()) if age else None,
        "stale": stale,
        "runs": runs,
        "rows": tables,
        "rejects": rejects,
        "suspects": suspects,
    }


def show_state(settings: Settings) -> dict[str, Any]:
    """Cursors, open run and queue, as the store holds them."""
    with reading(settings) as (opened, _):
        return {
            "meta": dict(opened.sql("SELECT key, value FROM flexsync.meta").to_pandas().itertuples(index=False)),
            "cursors": opened.sql("SELECT * FROM flexsync.cursors").to_pylist(),
            "runs": opened.sql(
                "SELECT run_id, status, started_at FROM flexsync.runs ORDER BY run_id DESC LIMIT 3"
            ).to_pylist(),
        }


def reset_state(settings: Settings) -> None:
    """Forget cursors and body hashes: the next run reads everything again. Rows stay."""
    with existing(settings) as store, store.transaction() as db:
        db.execute("DELETE FROM flexsync.cursors")
        db.execute("UPDATE flexsync.answers SET body_hash = NULL")
        db.execute("UPDATE flexsync.runs SET status = 'failed' WHERE status IN ('running', 'interrupted')")


def set_state(settings: Settings, moment: datetime) -> None:
    """Move the cursors back to `moment`; never forward, for that would leave a hole."""
    with existing(settings) as store:
        later = store.rows("SELECT max(cursor) FROM flexsync.cursors")[0][0]
        if later is None:
            raise FixInput("there is no cursor yet.", remedy="Run `flexsync sync` first.")
        if moment > later:
            raise FixInput(
                f"{moment.isoformat()} is later than the cursor {later.isoformat()}: rows between would be lost.",
                remedy="Give an earlier moment.",
            )
        with store.transaction() as db:
            db.execute("UPDATE flexsync.cursors SET cursor = $moment WHERE cursor > $moment", {"moment": moment})
