"""The undo job: plans the way back from a run.

Promised: nothing is written to the account; a run that is still being applied cannot be undone. Never done: deciding
what can be taken back (see `connector.push.apply.undo`).
"""

from __future__ import annotations

from pathlib import Path

from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.push.account.customer import total
from connector.push.apply.journal import Line, read
from connector.push.apply.undo import undone
from connector.push.plan.guards import Limits
from connector.push.plan.planfile import PlanWriter, Source
from connector.settings import Settings
from pipelines.artifacts import alone, journal_of, replacing
from pipelines.confirm import limits
from pipelines.import_customers.account import Account
from pipelines.import_customers.planned import Draft, Planned
from pipelines.progress import Progress
from pipelines.runner import run

__all__ = ["undo_run"]


def undo_run(
    settings: Settings, wanted: str, out: Path, progress: Progress | None = None, *, clock: Clock = exact_now
) -> Planned:
    """Plan the way back from a run.

    Args:
        settings: account and guards.
        wanted: the run's id, or its journal's path.
        out: where the plan goes.
        progress: hears how far it is.
        clock: this machine's.

    Returns:
        What came of it: reversed rows as update and archive, kept and impossible ones as conflict.

    Raises:
        FixInput: there is no such journal.
    """
    settings.require_key()
    path = journal_of(wanted, out.parent)
    first = next(read(path), None)
    if first is None or first.what != "begin":
        raise FixInput(f"{path} is not the journal of a run.", remedy="Name the run, or its .journal file.")
    shown = progress or Progress()
    running = alone(path.parent / f".{first.run}")  # a run that is being applied cannot be taken back as a whole
    with running, alone(out), replacing(out, shown.note), PlanWriter(out) as writer:
        draft = Draft(Planned(Source(f"undo of {first.run}")), writer, note=shown.note)
        return run(_undo(Account.of(settings, shown), limits(settings.imports), path, first, draft, shown, clock))


async def _undo(
    account: Account, limits: Limits, path: Path, first: Line, draft: Draft, progress: Progress, clock: Clock
) -> Planned:
    found = draft.planned
    async with account.open() as api:
        found.existing, environment = await total(api.send)
        if environment and first.environment_id not in ("", environment):
            raise FixInput(
                f"{path} is of environment {first.environment_id}, the key opens {environment}.",
                remedy="Use the key that the run was made with.",
            )
        progress.step("compare")
        async for entries in undone(read(path), api.send):
            draft.take(entries)
            progress.advance("compare", len(entries))
        found.calls = api.gate.report()["operations"]
    return draft.finish(limits, account.base_url, environment, {"onboarding": "skip"}, clock(), first.run)
