"""The files of an import: where they go, and what happens to files that are there already.

Promised: a file that somebody else made is never overwritten; an older plan is put aside once the new one is complete,
and under the name of its run where that has begun, or where no other file has its rows; one plan or apply holds a name
at a time. Never done: reading what is in a person's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os.path import samestat
from pathlib import Path

from connector.errors import FixInput, LockHeld
from connector.files import set_aside
from connector.locks import Lock, TakenError
from connector.push.apply.journal import path_of, read
from connector.push.apply.rejected import REASONS
from connector.push.apply.results import COLUMNS
from connector.push.apply.workbook import check_can_write, table_begins
from connector.push.plan.counts import customers_written
from connector.push.plan.planfile import Plan

__all__ = [
    "alone",
    "check_not_undone",
    "check_rejected",
    "doubted_of",
    "free_for_page",
    "journal_of",
    "put_aside",
    "rejected_of",
    "replacing",
    "results_of",
]

TITLES = (b"<title>Import plan ", b"<title>Undo plan ")  # of our own pages
HEAD = 4096  # bytes that tell whose file it is
LEFT_OVER = ("invalid", "conflict", "held")  # kinds of rows that the next round takes


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a plan's name, so that nobody else applies the plan or replaces it meanwhile.

    Raises:
        LockHeld: somebody else holds it.
        FixInput: its folder does not exist or cannot be written.
    """
    if not path.parent.is_dir():  # the lock would make it
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or correct the path.")
    try:
        lock = Lock.take(Path(f"{path}.lock"))
    except TakenError:
        raise LockHeld(f"another plan or apply has {path}.", remedy="Wait for it, or stop it first.") from None
    except OSError as error:
        remedy = "Work in a folder that can be written: --out names another one for a plan."
        raise FixInput(f"{path}.lock cannot be written: {error.strerror}.", remedy=remedy) from None
    try:
        yield
    finally:
        lock.release()


def rejected_of(out: Path) -> Path:
    """Where the rows go that a plan does not take: of `x.plan` and of `x.rejected.plan` to `x.rejected.csv`."""
    return _beside(out, "rejected")


def doubted_of(out: Path) -> Path:
    """Where the rows go that wait for a decision."""
    return _beside(out, "doubts")


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f"{out.name.removesuffix('.plan').removesuffix(f'.{what}')}.{what}.csv")


@contextmanager
def replacing(out: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Make sure that a plan may be written, and say afterwards if an older one still has its name.

    Args:
        out: the plan.
        note: is told.

    Raises:
        FixInput: another kind of file has that name.
    """
    older = _older(out)
    before = out.stat() if older else None
    try:
        yield
    finally:
        if older and before and out.exists() and samestat(before, out.stat()):
            note(f"{out} is still the older plan, run {older.header.run}: no new one was made")


def _older(out: Path) -> Plan | None:
    """The plan of that name. Raises `FixInput` where another kind of file has it."""
    if not out.exists():
        return None
    try:
        return Plan.read(out)
    except FixInput as error:  # a person's file is not overwritten
        raise FixInput(f"{error.message} It is not overwritten.", remedy="Remove it, or give another --out.") from None


def put_aside(out: Path) -> str:
    """Move an older plan of that name away, because the new one is ready to take its place.

    Returns:
        What was done, as a sentence; "" where there was no older plan.

    Raises:
        FixInput: another kind of file has that name.
    """
    older = _older(out)
    if older is None:
        return ""
    run, left = older.header.run, _left(older)
    if not left and not _has_the_only_copy(older):
        return f"the older {out} is now {set_aside(out)}"
    kept = older.beside(f".{run}.plan")
    out.replace(kept)
    if left:
        return f"run {run} was begun and {left} of its customers are left: its plan is now {kept}"
    return f"run {run} was not applied, and its rows stand in no file that is to be planned: its plan is now {kept}"


def _has_the_only_copy(plan: Plan) -> bool:
    """Whether a plan was not begun, and the next round of rejected rows took the place of the file that it was made of.

    Planned again, that file gives no plan of these rows: they are in this plan, and in the file that was kept.
    """
    own, counts = (rejected_of(plan.path).name, doubted_of(plan.path).name), plan.header.counts
    replaced = Path(plan.header.source.name).name in own and any(counts.get(kind) for kind in LEFT_OVER)
    return bool(replaced and counts["writes"] and not path_of(plan).exists())


def journal_of(wanted: str, folder: Path) -> Path:
    """Find the journal of a run.

    Args:
        wanted: the run's id, or the journal's path.
        folder: where to search, besides the working folder.

    Raises:
        FixInput: there is none.
    """
    if Path(wanted).is_file():
        return Path(wanted)
    folders = dict.fromkeys((folder, Path()))
    for found in (path for folder in folders for path in folder.glob("*.journal")):
        if found.name.endswith(f".{wanted}.journal"):
            return found
    raise FixInput(
        f"There is no journal of a run {wanted!r} here.",
        remedy="Give the run's id in the folder of its plan, or the path of its .journal file.",
    )


def _left(plan: Plan) -> int:
    """How many customers a begun run has not settled; 0 where it was not begun, or is done."""
    path, counts = path_of(plan), plan.header.counts
    if not path.exists():
        return 0
    settled = sum(line.what == "outcome" for line in read(path))
    return customers_written(counts) - settled


def check_not_undone(plan: Plan) -> None:
    """Make sure that no other run here has undone this one. Raises `FixInput`: the plan's journal is then outdated."""
    run = plan.header.run
    for path in plan.path.parent.glob("*.journal"):
        first = next(read(path), None)
        if first is not None and run and first.undoes == run:
            raise FixInput(f"Run {run} was undone by run {first.run} ({path}).", remedy="Plan again from the file.")


def results_of(plan: Plan, wanted: Path | None) -> Path:
    """Where the results of a run go. Raises `FixInput` where another kind of file is."""
    if wanted is None:
        return plan.beside(f".{plan.header.run}.results.csv")
    _free_for_results(wanted)
    return wanted


def _free_for_results(path: Path) -> None:
    """Make sure that results may be written there. Raises `FixInput`."""
    if path.suffix not in (".csv", ".xlsx", ".parquet"):
        what = "is neither .csv nor .xlsx nor .parquet"
        raise FixInput(f"--results {path} {what}.", remedy="End its name with one of them.")
    if path.suffix == ".xlsx":
        check_can_write(path)
        _ours(path, lambda _: table_begins(path, COLUMNS), "results", "--results")
    elif path.suffix == ".csv":
        _ours(path, lambda head: head.startswith(",".join(COLUMNS).encode()), "results", "--results")
    elif path.exists() and not _parquet_of_ours(path):
        raise FixInput(f"{path} exists and is not results: it is not overwritten.", remedy="Give another --results.")


def _parquet_of_ours(path: Path) -> bool:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return bool(parquet.read_schema(path).names == list(COLUMNS))
    except (OSError, pa.ArrowInvalid):
        return False


def check_rejected(path: Path | None) -> None:
    """Make sure that rows that were not taken can go there, if a place was named. Raises `FixInput`."""
    if path is None:
        return
    if path.suffix not in (".csv", ".xlsx"):
        raise FixInput(f"--rejected {path} is neither .csv nor .xlsx.", remedy="End its name with one of them.")
    if path.suffix == ".xlsx":
        check_can_write(path)
    _ours(path, lambda _: table_begins(path, REASONS), "a file of refused rows", "--rejected")


def free_for_page(path: Path) -> None:
    """Make sure that a page may be written there. Raises `FixInput`."""
    _ours(path, lambda head: any(title in head for title in TITLES), "a page of a plan", "--html")


def _ours(path: Path, known: Callable[[bytes], bool], what: str, flag: str) -> None:
    if not path.parent.is_dir():
        raise FixInput(f"{path.parent} does not exist.", remedy=f"Make the folder, or give another {flag}.")
    if not path.exists():
        return
    with path.open("rb") as file:
        if known(file.read(HEAD)):
            return
    raise FixInput(f"{path} exists and is not {what}: it is not overwritten.", remedy=f"Give another {flag}.")
