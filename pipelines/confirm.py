"""The confirmation of a plan: what was said on the command line, what the plan asks for, and the question.

Promised: where a guard trips, only the exact number of writes counts as a yes; every missing flag is named.
Never done: writing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.plurals import counted
from connector.push.apply.journal import Line
from connector.push.plan.guards import Limits, too_old
from connector.push.plan.planfile import Plan
from connector.settings import Import
from pipelines.progress import Progress

__all__ = ["Confirmed", "confirm", "go_on", "limits", "quietly"]

Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Confirmed:
    """What was said on the command line.

    Attributes:
        yes: do it.
        really: the number of writes, where a guard trips.
        archive: the number of archives, where there are any.
        ask: asks a question on the terminal; None where there is none.
    """

    yes: bool = False
    really: int | None = None
    archive: int | None = None
    ask: Ask | None = None


def limits(given: Import) -> Limits:
    """The guards' limits in [import]."""
    return Limits(
        max_share=given.max_share,
        max_creates=given.max_creates,
        max_archives=given.max_archives,
        max_key_changes=given.max_key_changes,
        max_doubts=given.max_doubts,
        max_age=given.max_age,
        max_field_share=given.max_field_share,
        max_moved=given.max_moved,
        max_same=given.max_same,
    )


def confirm(found: Plan, confirmed: Confirmed, limits: Limits, clock: Clock = exact_now) -> None:
    """Make sure that the plan may be applied.

    Args:
        found: the plan.
        confirmed: what was said.
        limits: of the guards; the age of the plan is checked here.
        clock: this machine's.

    Raises:
        FixInput: it was not confirmed; the remedy gives the missing flags.
    """
    header, writes = found.header, found.header.counts["writes"]
    guards = list(header.guards)
    if old := too_old(header.made_at, clock(), limits):
        guards.append(old)
    archives = header.counts["archive"]
    if not writes:
        return
    for given, wanted, flag in (
        (confirmed.really, writes, "--yes-really"),
        (confirmed.archive, archives, "--yes-archive"),
    ):
        if given is not None and given != wanted:
            what = counted(wanted, "write" if flag == "--yes-really" else "archive")
            raise FixInput(f"{flag} {given} is not what the plan shows: {what}.", remedy="Read the plan again.")
    missing = [f"--yes-really {writes}"] if guards and confirmed.really is None else []
    missing += [f"--yes-archive {archives}"] if archives and confirmed.archive is None else []
    missing += [] if confirmed.yes or confirmed.ask else ["--yes"]
    if missing:
        texts = "".join(f"\n  {guard.text}" for guard in guards)
        raise FixInput(f"The plan makes {_split(found)}: confirm it.{texts}", remedy=f"Add {' '.join(missing)}.")
    if not confirmed.yes and confirmed.ask and not confirmed.ask(f"Make {_split(found)} in {header.base_url}?"):
        raise FixInput("not confirmed: nothing was changed.", remedy="Answer y, or add --yes.")


def _split(found: Plan) -> str:
    """The writes of a plan, by kind."""
    counts = found.header.counts
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("create", "update", "archive") if counts[kind])
    return f"{counted(counts['writes'], 'write')} ({kinds})"


def go_on(lines: Sequence[Line], confirmed: Confirmed) -> bool:
    """Whether the rest follows the canary: a person agrees, or --yes was given and nothing went wrong."""
    good = sum(line.outcome == "done" for line in lines)
    if confirmed.ask and not confirmed.yes:
        return confirmed.ask(f"The canary: {good} of {len(lines)} are as planned. Continue with the rest?")
    return good == len(lines)


def quietly(ask: Ask | None, progress: Progress) -> Ask | None:
    """The same question; the progress display pauses for it."""
    if ask is None:
        return None

    def asked(question: str) -> bool:
        progress.pause()
        try:
            return ask(question)
        finally:
            progress.resume()

    return asked
