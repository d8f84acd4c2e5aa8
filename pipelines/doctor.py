"""Doctor: check everything that a sync needs, and say what to do about what is missing.

Promised: one failed check does not hide the next; nothing is written, apart from the lock of an existing store.
Never done: repairing anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from connector.api import calls
from connector.api.calls import Reply
from connector.api.client import Client
from connector.clock import Clock, utc_now
from connector.errors import FixInput, FlexsyncError, LockHeld, OurFault, Refused, SkipRow, StopRun, public_name
from connector.plurals import counted
from connector.publications import reading as copies
from connector.pull.listing_rows import environment_of, read_page
from connector.pull.pages import count_rows
from connector.settings import Settings
from connector.store.store import Store
from connector.tables.schemas import SCHEMA_VERSION
from pipelines.runner import run_with_client
from pipelines.sync.publishing import check_target
from pipelines.sync.walks import ACTIVE_STATUSES

_COUNT = "subscriptions that count"
_SAME = 2  # seconds: `Date` has whole ones, and an answer travels
Check = dict[str, Any]  # check, ok, found; where it is not ok also remedy, class and exit_code


def doctor(settings: Settings, *, clock: Clock = utc_now) -> list[Check]:
    """Check everything that a sync needs.

    Args:
        settings: all of them.
        clock: this machine's, which is compared with the server's.

    Returns:
        One entry a check: what it found and, where something is missing, what to do and the exit code of that error.
    """
    checks = [_check("settings", lambda: f"{settings.config or 'no file'}; base URL {settings.api.base_url}")]
    checks.append(_check("key", lambda: f"{settings.require_key()} from {settings.api.key_source}"))
    checks.append(_check("store", lambda: _look_at_store(settings.sync.store)))
    for target in settings.sync.publish:
        checks.append(_check(f"publication {target}", partial(_look_at_target, target, settings.sync.store)))
    if all(check["ok"] for check in checks[:2]):
        checks += run_with_client(settings, lambda api: _check_server(api, clock, settings.sync.overlap))
    return checks


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return {"check": name, "ok": True, "found": look()}
    except FlexsyncError as error:
        return _failed(name, error)


def _failed(name: str, error: FlexsyncError) -> Check:
    found: Check = {"found": error.message, "remedy": error.remedy}
    found |= {"class": public_name(error), "exit_code": error.exit_code}
    return {"check": name, "ok": False, **found}


def error_of(check: Check) -> FlexsyncError:
    """Return the error for a check that failed, with its exit code."""
    kind = next(k for k in (FixInput, StopRun, SkipRow, LockHeld, OurFault) if k.exit_code == check["exit_code"])
    return kind(f"{check['check']}: {check['found']}", remedy=check["remedy"])


def _look_at_store(path: Path) -> str:
    if not path.parent.exists():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --store.")
    free = shutil.disk_usage(path.parent).free
    if not path.exists():
        return f"{path} will be made; {free // 2**20} MB free"
    Store.open(path).close()
    return f"{path}, {path.stat().st_size // 2**20} MB, schema {SCHEMA_VERSION}; {free // 2**20} MB free"


def _look_at_target(target: str, store: Path) -> str:
    folder = check_target(target, store)
    newest = copies.newest([target])
    if newest is None:
        return "not published yet" if folder.exists() else f"not published yet; a sync makes the folder {folder}"
    with copies.open(target.partition(":")[2]) as opened:
        return f"run {opened.run.run_id}, {opened.run.status}" if opened.run_or_none else "no run in it"


async def _check_server(api: Client, clock: Clock, overlap: timedelta) -> list[Check]:
    """Check the server; the first check that fails is the last one, because the others would fail alike."""
    found: list[Check] = []
    looks: tuple[tuple[str, Callable[[Client], Awaitable[str]]], ...] = (
        ("server", _look_at_server),
        ("filters", _look_at_filters),
        ("sweep", _look_at_subscriptions),
        ("clocks", partial(_look_at_clocks, clock=clock, overlap=overlap)),
    )
    for name, look in looks:
        try:
            found.append({"check": name, "ok": True, "found": await look(api)})
        except FlexsyncError as error:
            found.append(_failed(name, error))
            break
    return found


async def _look_at_server(api: Client) -> str:
    reply = await api.send(calls.search_customers(limit=1, status="published"))
    total, environment = _said(reply)
    number = _number(total, "published customer", "published customers")
    return f"{number}, environment {environment or 'unknown'}, {reply.elapsed:.3f} s"


def _said(reply: Reply) -> tuple[int | None, str]:
    """Return the total and the environment of a page."""
    try:
        return read_page(reply.body).total, environment_of(reply.body)
    except msgspec.DecodeError as error:
        raise Refused(f"the answer is not a page: {error}.", remedy="Is base_url a FlexPrice server?") from error


async def _look_at_filters(api: Client) -> str:
    future = datetime(9000, 1, 1, tzinfo=UTC)
    reply = await api.send(calls.search_customers(limit=1, filters=[calls.after("created_at", future)]))
    if _said(reply)[0]:
        return "the server ignores filters: customers are listed by offset, which costs more calls"
    return "understood"


async def _look_at_subscriptions(api: Client) -> str:
    body = {"subscription_status": list(ACTIVE_STATUSES), "limit": 1}
    return _number(await count_rows(calls.search_subscriptions(body), api.send), "subscription that counts", _COUNT)


def _number(count: int | None, one: str, many: str) -> str:
    return f"an unknown number of {many}" if count is None else counted(count, one, many)


async def _look_at_clocks(api: Client, clock: Clock, overlap: timedelta) -> str:
    """Compare the clocks. Cursors follow the slower one, so no edit is lost; windows grow, and ages are not known."""
    reply = await api.send(calls.search_customers(limit=1, status="published"))
    if reply.date is None:
        return "the server sends no Date, so every run reads everything"
    ahead = reply.date - clock()
    seconds = round(abs(ahead).total_seconds())
    where = (
        f"the server's clock is {timedelta(seconds=seconds)} {'ahead of' if ahead > timedelta() else 'behind'} this one"
    )
    if abs(ahead) > overlap:
        raise FixInput(
            f"{where}, more than the overlap ({overlap}).",
            remedy="Compare both with a time server: set this machine's clock, or tell the server's operator.",
        )
    return where if seconds > _SAME else "the server's clock and this one agree"
