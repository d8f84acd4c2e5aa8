"""How a run begins: the clocks, the newest row of every walk, the environment of the key, and the run itself.

Promised: a store never holds two environments; an interrupted run is resumed while it is young enough, with what it
decided when it began and what it has found out. Never done: loading rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version

from connector.api.address import not_flexprice
from connector.api.calls import Reply
from connector.errors import Refused, SkipRow
from connector.pull.listing_rows import environment_of
from connector.pull.page import Walk, read
from connector.pull.pages import newest_row
from connector.pull.watermarks import WALKS, listing_of
from connector.pull.windows import Beginning, Run
from connector.settings import Sync as SyncSettings
from connector.store import findings
from connector.tables.resources import chosen
from pipelines.sync.session import Session
from pipelines.sync.walks import walk_of

_CANNOT_SORT = (400, 500)  # an unknown sort field is answered either way (contract.md 2.3)


async def begin(session: Session, settings: SyncSettings, *, full: bool) -> Run:
    """Begin a run, or resume the interrupted one.

    Args:
        session: of the run.
        settings: [sync]: what to load, and how fresh it has to be.
        full: walk everything, whatever the cursors say.

    Returns:
        The run.

    Raises:
        FixInput: the store belongs to another environment than the key, or the server is not FlexPrice.
    """
    resources = chosen(settings.only)
    clock = session.clock()
    walks = [walk for walk in WALKS if listing_of(walk) in resources]
    first, date = await _watermarks(session, walks[:1])
    session.ahead = (date or clock) - clock
    run = await session.in_store(
        session.store.resume, date or clock, resources, full=full, resume_for=settings.resume_for
    )
    if run:
        await _take_over(session, run, walks[1:] if not any(first.values()) else ())
        return run
    watermarks = first | await newest_updates(session, walks[1:])
    found = Beginning(clock, date, watermarks, await _newest_created(session, walks))
    if abs(session.ahead) > settings.overlap:
        session.note(f"the server's clock says {date}, this machine's {clock}: neither moves a cursor past the rows")
    session.kept = []
    return await session.in_store(
        session.store.begin,
        found,
        resources,
        full=full,
        full_every=settings.full_every,
        overlap=settings.overlap,
        version=version("flexsync"),
    )


async def _take_over(session: Session, run: Run, walks: Sequence[str]) -> None:
    """Go on with what the earlier processes of a run found out; ask `walks` whose environment the key opens."""
    session.found.take_over((await session.in_store(session.store.facts, findings.of_run, run)).kept())
    session.kept = session.found.kept()
    await newest_updates(session, walks)


async def newest_updates(session: Session, walks: Sequence[str]) -> dict[str, datetime | None]:
    """Ask every walk for the `updated_at` of its newest row; None where it has none, or cannot say."""
    return (await _watermarks(session, walks))[0]


async def _watermarks(session: Session, walks: Sequence[str]) -> tuple[dict[str, datetime | None], datetime | None]:
    """Ask for the newest row of every walk, and tie the store to its environment; return the server's `Date` too."""
    found: dict[str, datetime | None] = {}
    date: datetime | None = None
    for name in walks:
        try:
            newest, reply = await _newest(session, walk_of(name, "updated_at"))
        except SkipRow:
            if listing_of(name) == "customers":
                raise
            found[name] = None  # its listing will be refused too, which degrades the run
            continue
        found[name] = newest
        date = date or reply.date
        await _bind(session, reply)
    return found, date


async def _newest(session: Session, plan: Walk) -> tuple[datetime | None, Reply]:
    """Ask for the newest row; a server that cannot sort is asked for any row, and says nothing about the newest."""
    try:
        moment, found = await newest_row(plan, session.api.send)
    except Refused as error:
        if error.status not in _CANNOT_SORT:
            raise
        return None, read(plan.name, await session.api.send(plan.make({**plan.body, "limit": 1}))).reply
    if found.misfits:  # a row without an id: is it one odd row, or is this no FlexPrice server?
        whole = read(plan.name, await session.api.send(plan.make({**plan.body, "limit": session.page_size.rows})))
        if not whole.rows:
            why = f"{plan.name}: no row has an id."
            customers = plan.name.startswith("customers")  # subscriptions degrade the run, see `_watermarks`
            raise not_flexprice(session.api.settings.api, why) if customers else Refused(why)
    session.count_seconds = max(session.count_seconds, found.reply.elapsed)
    return moment, found.reply


async def _newest_created(session: Session, walks: Sequence[str]) -> list[datetime]:
    found = []
    for name in walks:
        with suppress(SkipRow):  # as in `_watermarks`: what can be wrong with customers was wrong there
            found.append((await _newest(session, walk_of(name, "created_at")))[0])
    return [moment for moment in found if moment is not None]


async def _bind(session: Session, reply: Reply) -> None:
    """Tie the store to the environment of the answer's first row, if it has one."""
    environment = environment_of(reply.body)
    if environment:
        await session.in_store(session.store.bind, environment)
