"""The journal of a run, a write-ahead log: one line before each write and after it, in a file beside the plan.

Promised: the intent of a write is on the disk (fsync) before the write is sent; a line that a crash truncated is
dropped when the file is opened again; the journal of one plan is never continued for another; every settled row has its
outcome and what an undo needs. Never done: deciding, sending.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from connector import files
from connector.api.grammar import UNREADABLE
from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.push.plan.planfile import Plan

__all__ = ["Journal", "Line", "What", "path_of", "read"]

What = Literal["begin", "intent", "answer", "withdrawn", "outcome"]


class Line(msgspec.Struct, omit_defaults=True):
    """One line.

    Attributes:
        what: begin (the plan), intent (before a write), answer (the server's), withdrawn (the write was certainly not
            carried out), outcome (settled).
        n: the entry's number in the plan, from 0.
        run: of begin: the run.
        digest: of begin: the plan's.
        environment_id: of begin: the account's.
        undoes: of begin: the run that it undoes.
        at: when, by this machine's clock, ISO 8601.
        line: of the person's file.
        do: create, update or archive.
        external_id: the customer's, before.
        id: the server's id.
        set: of intent: field → [before, after].
        precondition: of intent: fingerprint of the customer before.
        outcome: done (as planned, read back), differs (written, but not as planned), skipped (somebody else changed
            it), failed (the server refused).
        why: reason of the outcome.
        left: fingerprint of the customer as it was read back; what an undo compares with.
        request_id: the server's, for its operator.
    """

    what: What
    n: int = -1
    run: str = ""
    digest: str = ""
    environment_id: str = ""
    undoes: str = ""
    at: str = ""
    line: int = 0
    do: str = ""
    external_id: str = ""
    id: str = ""
    set: dict[str, tuple[Any, Any]] = {}
    precondition: str = ""
    outcome: str = ""
    why: str = ""
    left: str = ""
    request_id: str = ""


_decode = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


class Journal:
    """The open journal of one plan.

    Attributes:
        path: the file.
        settled: entry number → its outcome line, from this and earlier attempts.
        open: entry number → its last intent or answer without an outcome.
    """

    def __init__(self, path: Path, file: IO[bytes], clock: Clock) -> None:
        self.path = path
        self._file = file
        self._clock = clock
        self.settled: dict[int, Line] = {}
        self.open: dict[int, Line] = {}

    @classmethod
    def of(cls, plan: Plan, clock: Clock = exact_now) -> Journal:
        """Open the plan's journal, or begin it.

        Args:
            plan: checked.
            clock: this machine's, for the time of each line.

        Raises:
            FixInput: it belongs to another plan, or cannot be written.
        """
        path = path_of(plan)
        known = list(_lines(path)) if path.exists() else []
        if known and (known[0][0].what != "begin" or known[0][0].digest != plan.digest):
            raise FixInput(f"{path} belongs to another plan.", remedy="Move it away, or plan again.")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            file = os.fdopen(handle, "r+b")
            file.truncate(known[-1][1] if known else 0)
            file.seek(0, os.SEEK_END)
        except OSError as error:
            raise FixInput(
                f"{path} cannot be written: {error.strerror}.", remedy="Correct that, then apply again."
            ) from None
        journal = cls(path, file, clock)
        for line, _ in known:
            journal._take(line)
        if not known:
            journal.write(_begin(plan))
            journal.sync()
            files.sync(path.parent)
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk was reported when the line was written
            self._file.close()

    def write(self, line: Line) -> None:
        """Append a line with its time; it survives this process at once, and the machine after `sync`."""
        line.at = f"{self._clock().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self._take(line)
        try:
            self._file.write(_encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise FixInput(
                f"{self.path} cannot be written: {error.strerror}.", remedy="Make room, then apply again."
            ) from None

    def sync(self) -> None:
        """Bring everything to the disk."""
        os.fsync(self._file.fileno())

    def _take(self, line: Line) -> None:
        if line.what == "outcome":
            self.settled[line.n] = line
            self.open.pop(line.n, None)
        elif line.what == "withdrawn":
            self.open.pop(line.n, None)
        elif line.what in ("intent", "answer"):
            self.open[line.n] = line


def _begin(plan: Plan) -> Line:
    header = plan.header
    return Line("begin", run=header.run, digest=plan.digest, environment_id=header.environment_id, undoes=header.undoes)


def path_of(plan: Plan) -> Path:
    """Where a plan's journal is: beside it, named by the run. The plan may have been renamed since it was begun."""
    run = plan.header.run
    own = plan.beside(f".{run}.journal")
    others = [] if own.exists() else sorted(plan.path.parent.glob(f"*.{run}.journal"))
    if len(others) > 1:
        names = ", ".join(path.name for path in others)
        raise FixInput(f"Run {run} has several journals here: {names}.", remedy="Move away all but the real one.")
    return others[0] if others else own


def read(path: Path) -> Iterator[Line]:
    """Every whole line of a journal. Raises `FixInput` when it is not a journal."""
    for line, _ in _lines(path):
        yield line


def _lines(path: Path) -> Iterator[tuple[Line, int]]:
    """Lines, and where each ends; a last line without its line end was truncated by a crash and is left out."""
    end = number = 0
    try:
        with path.open("rb") as file:
            for text in file:
                number += 1
                if not text.endswith(b"\n"):
                    return
                end += len(text)
                yield _decode(text), end
    except OSError as error:
        raise FixInput(f"{path} cannot be read: {error.strerror}.", remedy="Name another run.") from None
    except UNREADABLE:
        raise FixInput(f"{path} line {number} is not a line of a journal.", remedy="Move the file away.") from None
