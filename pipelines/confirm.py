"""The confirmation of a plan: what was said on the command line, what the plan asks for, and the question.

Promised: where a guard trips, only the exact number of writes counts as a yes; every missing flag is named. No message
holds a number that it asks for: whoever confirms has read it in the plan.
Never done: writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.plurals import counted
from connector.push.apply.journal import Line
from connector.push.plan.counts import Counts
from connector.push.plan.guards import Guard, Limits, too_old
from connector.push.plan.planfile import Plan
from connector.settings import Import
from pipelines.progress import Progress

__all__ = ["Confirmed", "confirm", "go_on", "limits", "quietly"]

Ask = Callable[[str], bool]
AskNumber = Callable[[str], str]
_Answer = TypeVar("_Answer")
_AGAIN = "Read its summary again."


@dataclass(frozen=True)
class Confirmed:
    """What was said on the command line.

    Attributes:
        yes: do it.
        really: the number of writes, where a guard trips.
        archive: the number of archives, where there are any.
        ask: asks a question on the terminal; None where there is none.
        number: asks for a number there, and returns what was typed; None where there is no terminal.
    """

    yes: bool = False
    really: int | None = None
    archive: int | None = None
    ask: Ask | None = None
    number: AskNumber | None = None


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


def confirm(
    found: Plan, confirmed: Confirmed, limits: Limits, clock: Clock = exact_now, left: Counts | None = None
) -> None:
    """Make sure that the plan may be applied.

    Args:
        found: the plan.
        confirmed: what was said.
        limits: of the guards; the age of the plan is checked here.
        clock: this machine's.
        left: what is left of a run that was begun; by default everything.

    Raises:
        FixInput: it was not confirmed; the remedy names the missing flags, and never a number.
    """
    header, counts = found.header, found.header.counts
    if not counts["writes"]:
        return
    old = too_old(header.made_at, clock(), limits)
    guards = [*header.guards, *([old] if old else ())]
    really = _Number("--yes-really", "writes", counts["writes"], confirmed.really, bool(guards))
    archive = _Number("--yes-archive", "archives", counts["archive"], confirmed.archive, counts["archive"] > 0)
    for one in (really, archive):
        if one.given is not None and one.given != one.wanted:
            raise FixInput(
                f"{one.flag} {one.given} is not the number of {one.what} that the plan shows.", remedy=_AGAIN
            )
    missing = [one for one in (really, archive) if one.needed and one.given is None]
    if missing and confirmed.number and not confirmed.yes:
        _ask_numbers(found, guards, missing, confirmed.number)
        return
    if missing or not (confirmed.yes or confirmed.ask):
        raise _unconfirmed(found, guards, missing, confirmed, left)
    if not confirmed.yes and confirmed.ask and not confirmed.ask(f"Make {_split(found, left)} in {header.base_url}?"):
        raise FixInput("not confirmed: nothing was changed.", remedy="Answer y, or add --yes.")


class _Number(NamedTuple):
    """A number that a plan may ask for: its flag, what is counted, how many there are, what was said, is it needed."""

    flag: str
    what: str
    wanted: int
    given: int | None
    needed: bool


def _unconfirmed(
    found: Plan, guards: Sequence[Guard], missing: Sequence[_Number], confirmed: Confirmed, left: Counts | None
) -> FixInput:
    flags = [f"{one.flag} COUNT" for one in missing]
    flags += [] if confirmed.yes or confirmed.ask else ["--yes"]
    if not missing:
        return FixInput(f"The plan makes {_split(found, left)}: confirm it.", remedy=f"Add {' '.join(flags)}.")
    counts = f"number{'s' * (len(missing) > 1)} of {' and of '.join(one.what for one in missing)}"
    remedy = f"Add {' '.join(flags)}, with the {counts} from the summary at the top of {found.path}."
    return FixInput(f"{_why(guards)}: confirm it.{_listed(guard.text for guard in guards)}", remedy=remedy)


def _ask_numbers(found: Plan, guards: Sequence[Guard], missing: Sequence[_Number], ask: AskNumber) -> None:
    """Ask for each number; none of the questions holds it."""
    said = [f"{_why(guards)}, in {found.header.base_url}.", *(guard.text for guard in guards)]
    said += [f"changes: {group.text}" for group in found.header.groups or ()]
    question = _listed(said).strip()
    for one in missing:
        question += f"\nHow many {one.what} does it make? Type the number from the summary at the top of {found.path}"
        answer = ask(question).strip()
        if answer.replace(",", "") != str(one.wanted):
            wrong = f"{answer} is not the number of {one.what} that the plan shows" if answer else "not confirmed"
            raise FixInput(f"{wrong}: nothing was changed.", remedy=_AGAIN)
        question = ""


def _why(guards: Sequence[Guard]) -> str:
    """Why a plan asks for numbers."""
    return f"The plan trips {counted(len(guards), 'guard')}" if guards else "The plan archives customers, for good"


def _listed(texts: Iterable[str]) -> str:
    return "".join(f"\n  {text}" for text in texts)


def _split(found: Plan, left: Counts | None) -> str:
    """The writes that a plan makes, by kind: of a run that was begun, those that are left."""
    whole = found.header.counts["writes"]
    counts = left.plain() if left is not None else found.header.counts
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("create", "update", "archive") if counts[kind])
    if counts["writes"] == whole:
        return f"{counted(whole, 'write')} ({kinds})"
    return f"the last {counts['writes']} of {counted(whole, 'write')} ({kinds})"


def go_on(lines: Sequence[Line], confirmed: Confirmed) -> bool:
    """Whether the rest follows the canary: a person agrees, or --yes was given and nothing went wrong."""
    good = sum(line.outcome == "done" for line in lines)
    if confirmed.ask and not confirmed.yes:
        return confirmed.ask(f"The canary: {good} of {len(lines)} are as planned. Continue with the rest?")
    return good == len(lines)


def quietly(ask: Callable[[str], _Answer] | None, progress: Progress) -> Callable[[str], _Answer] | None:
    """The same question; the progress display pauses for it."""
    if ask is None:
        return None

    def asked(question: str) -> _Answer:
        progress.pause()
        try:
            return ask(question)
        finally:
            progress.resume()

    return asked
