"""The jobs behind `sync`, `status`, `state` and `sql`, as a program calls them.

In: the whole `Settings`, loaded once by the caller; each job hands down only the parts that its steps need. Out: data;
the command prints it. Promised: whatever is opened is closed. Never done: printing, loading settings.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from connector.api.client import Client
from connector.clock import Clock, exact_now, utc_now
from connector.errors import LockHeld
from connector.publications.reading import Reading
from connector.settings import Settings
from connector.store.store import Store
from connector.tables.resources import chosen
from connector.tables.schemas import SCHEMA_VERSION
from pipelines import state
from pipelines.dry_run import estimate
from pipelines.opening import existing_store, publications_of, readable
from pipelines.progress import Progress
from pipelines.remembered import remembering
from pipelines.restoring import restore_missing
from pipelines.runner import run_with_client
from pipelines.status import Ages, describe, first_run, last_green, running_of
from pipelines.summary import Report
from pipelines.sync import Options, Sync, publish_all
from pipelines.sync.publishing import check_targets

__all__ = ["dry_run", "reading", "reset_state", "set_state", "show_state", "status", "sync"]


_PUBLISH = "--publish duckdb:FILE or --publish parquet:FOLDER"


def sync(settings: Settings, options: Options, progress: Progress, *, clock: Clock = utc_now) -> Report:
    """Load what is new, prove it complete, publish it.

    Args:
        settings: account, [sync], [privacy] and [history].
        options: of this run.
        progress: gets the steps, counts and notes of the run.
        clock: this machine's.

    Returns:
        The report; its status is green or degraded.

    Raises:
        FixInput: no key, an unknown resource, or a target that cannot be written.
        FlexsyncError: the run could not end; everything committed is kept and the next run continues from there.
    """
    settings.require_key()
    chosen(settings.sync.only)
    check_targets(settings.sync.publish, settings.sync.store, settings.privacy)
    if restored := restore_missing(settings.sync):
        progress.note(restored)
    with Store.open(settings.sync.store) as store:
        if store.older:
            progress.note(f"{store.path} now has schema version {SCHEMA_VERSION}; as it was, it is {store.older}")

        with remembering(settings, progress, clock) as shown:
            return _load_and_publish(settings, options, store, shown, clock)


def _load_and_publish(settings: Settings, options: Options, store: Store, progress: Progress, clock: Clock) -> Report:
    async def load(api: Client) -> Report:
        return await Sync(settings.sync, api, store, options, progress, clock, history=settings.history).run()

    report = run_with_client(settings, load, progress.called, progress.waited)
    publish_all(store, settings.sync, settings.privacy, report, clock, settings.history)
    progress.ended(report.plain())
    return report


def dry_run(settings: Settings, options: Options) -> dict[str, Any]:
    """Count what a sync would read; writes nothing anywhere.

    Args:
        settings: account and [sync].
        options: of the run that would follow.

    Returns:
        The start of the window, rows by listing, and calls by kind.
    """
    chosen(settings.sync.only)
    return run_with_client(settings, lambda api: estimate(api, settings.sync, full=options.full))


def reading(
    settings: Settings, path: str | None = None, *, green: bool = False
) -> AbstractContextManager[tuple[Reading, str]]:
    """Open what there is to read; see `pipelines.opening.readable`."""
    return readable(settings.sync, path, "--on", green=green, meanwhile="--on FILE or FOLDER")


def status(settings: Settings, max_age: timedelta | None, *, clock: Clock = exact_now) -> dict[str, Any]:
    """Describe the copy and its publications, and name the last green run.

    Args:
        settings: [sync].
        max_age: the copy is stale when its last finished run began earlier than this.
        clock: this machine's.

    Returns:
        See `pipelines.status.describe`; and `publications`, `last_green`, and `running`: while a sync holds the store,
        its run, since when it runs, and how far its last steps are.
    """
    ages = Ages(clock(), max_age, settings.sync.overlap)
    try:
        with readable(settings.sync, meanwhile=_PUBLISH) as (opened, remark):
            found = describe(opened, remark or str(settings.sync.store), ages, locked=bool(remark))
    except LockHeld:
        running = running_of(settings.sync.store)
        if running is None:
            raise
        return {**first_run(str(settings.sync.store), ages), "running": running, "publications": []}
    running = running_of(settings.sync.store) if remark else None
    published = publications_of(settings.sync)
    green = last_green(found["last_green"], published)
    return {**found, "running": running, "publications": published, "last_green": green}


def show_state(settings: Settings) -> dict[str, Any]:
    """Return cursors and the last runs, as the store holds them."""
    with readable(settings.sync) as (opened, _):
        return state.show(opened)


def reset_state(settings: Settings) -> None:
    """Delete cursors and body hashes, so that the next run reads everything again. Rows stay."""
    with existing_store(settings.sync.store) as store:
        state.reset(store)


def set_state(settings: Settings, moment: datetime) -> int:
    """Move the cursors back to `moment`; return how many moved. Raises `FixInput` when it is later than all of them."""
    with existing_store(settings.sync.store) as store:
        return state.move_back(store, moment)
