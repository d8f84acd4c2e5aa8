"""The plan file: a summary for people, a header, one JSON object a line, and a digest.

Promised: a plan is read exactly as it was written; a changed, truncated or foreign file is refused. It holds no key.
It is readable by its owner only, because it holds customers' data. Never done: deciding (see
`connector.push.plan.decide`).
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import msgspec

from connector.api.grammar import UNREADABLE
from connector.errors import FixInput
from connector.files import atomic_write, no_room, set_aside
from connector.push.file.headers import Bound
from connector.push.plan.entry import Entry
from connector.push.plan.groups import Group
from connector.push.plan.guards import Guard

__all__ = ["Header", "Plan", "PlanWriter", "new_run"]

VERSION = 1
_entry = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode


class Source(msgspec.Struct, frozen=True):
    """The person's file.

    Attributes:
        name: as it was given.
        sha256: of its bytes.
        encoding: with which it was read.
        delimiter: one character.
        header: its first record, exactly as in the file.
        bom: its byte order mark, as hex.
        unit: line or row, what `Entry.line` counts.
        rows: how many rows, blank lines apart.
        blank: lines without a value.
        sheet: of a workbook; "" for other files.
    """

    name: str
    sha256: str = ""
    encoding: str = "utf-8"
    delimiter: str = ","
    header: str = ""
    bom: str = ""
    unit: str = "line"
    rows: int = 0
    blank: int = 0
    sheet: str | msgspec.UnsetType = msgspec.UNSET


class Header(msgspec.Struct, kw_only=True):
    """What a plan says about itself.

    Attributes:
        flexsync_plan: version of the format.
        run: id of the plan and of its run.
        made_at: when.
        base_url: the API that was read.
        environment_id: of the account; "" where it had no customer.
        source: the file.
        options: mode, match, metadata, onboarding, archive_missing.
        counts: entries of each kind, and `writes`: HTTP writes that `apply` will make.
        existing: published customers when it was made.
        guards: those that it trips.
        undoes: the run that it undoes, or "".
        columns: what became of each column of the file.
        twins: with what new external_ids were compared, or that they were not; "" where there was none.
        groups: the largest groups of like changes.
    """

    flexsync_plan: int = VERSION
    run: str
    made_at: datetime
    base_url: str
    environment_id: str
    source: Source
    options: dict[str, Any]
    counts: dict[str, int]
    existing: int
    guards: list[Guard]
    undoes: str = ""
    columns: list[Bound] | msgspec.UnsetType = msgspec.UNSET  # older plans have none of these
    twins: str | msgspec.UnsetType = msgspec.UNSET
    groups: list[Group] | msgspec.UnsetType = msgspec.UNSET


_header = msgspec.json.Decoder(Header).decode


def new_run(now: datetime) -> str:
    """An id that sorts by time."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class PlanWriter:
    """Collects entries as they are decided, then writes the file whole. Use as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = False  # whether a reading has moved the file position
        try:
            self._body: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # lives as long as this
        except OSError as error:
            raise FixInput(f"{path} cannot be written: {error.strerror}.", remedy="Give another --out.") from None

    def __enter__(self) -> PlanWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk; the entries are not needed any more
            self._body.close()

    def add(self, entry: Entry) -> None:
        """Keep an entry; unchanged entries are not kept, unless somebody decided about them."""
        if entry.do == "unchanged" and not entry.decision:
            return
        try:
            if self._read:
                self._body.seek(0, os.SEEK_END)
                self._read = False
            self._body.write(_encode(entry) + b"\n")
        except OSError as error:
            raise no_room(self.path, error) from None

    def entries(self) -> Iterator[Entry]:
        """The entries so far. Do not add more while reading."""
        self._read = True
        self._body.seek(0)
        yield from map(_entry, self._body)

    def revise(self, change: Callable[[Entry], Entry | None]) -> None:
        """Put every entry through a function, in order; None leaves it out."""
        with PlanWriter(self.path) as other:
            for entry in self.entries():
                if (kept := change(entry)) is not None:
                    other.add(kept)
            self._body, other._body = other._body, self._body
            self._read = True

    def finish(self, header: Header, summary: str, aside: Callable[[Path], object] | None = None) -> Plan:
        """Write the plan: it appears whole under its name, or not at all.

        Args:
            header: of the plan.
            summary: its top, for people.
            aside: moves an older plan of that name away at the last moment; None overwrites it.
        """
        with atomic_write(self.path, keep_other=aside is not None, aside=aside or set_aside) as file:
            digest = sha256()
            for part in self._parts(header, summary):
                digest.update(part)
                file.write(part)
            file.write(_encode({"digest": f"sha256:{digest.hexdigest()}"}) + b"\n")
            file.flush()
            stamp = _stamp(file)
        return Plan(self.path, header, digest.hexdigest(), stamp)

    def _parts(self, header: Header, summary: str) -> Iterator[bytes]:
        yield "".join(f"# {line}\n" for line in summary.splitlines()).encode("utf-8", "replace")
        yield _encode(header) + b"\n"
        self._body.seek(0)
        while part := self._body.read(2**20):
            yield part


class Plan:
    """A plan on disk, checked. Use `Plan.read`.

    Attributes:
        path: the file.
        header: see `Header`.
        digest: SHA-256 of everything before the last line.
        stamp: identity, size and time of the checked file; "" where none was checked.
    """

    def __init__(self, path: Path, header: Header, digest: str, stamp: str = "") -> None:
        self.path, self.header, self.digest, self.stamp = path, header, digest, stamp

    @classmethod
    def read(cls, path: Path | str) -> Plan:
        """Open a plan and check that nobody changed it.

        Raises:
            FixInput: it is no plan, has another version, or was changed since it was made.
        """
        path = Path(path)
        digest, last, header = sha256(), b"", None
        try:
            with path.open("rb") as file:
                stamp = _stamp(file)
                for line in file:
                    digest.update(last)
                    if header is None and not line.startswith(b"#"):
                        header = _read_header(path, line)
                    last = line
        except OSError as error:
            raise FixInput(
                f"{path} cannot be read: {error.strerror}.", remedy="`flexsync import plan` makes it."
            ) from None
        if header is None or last != _encode({"digest": f"sha256:{digest.hexdigest()}"}) + b"\n":
            raise FixInput(f"{path} is not the plan that was made: it was changed or truncated.", remedy="Plan again.")
        return cls(path, header, digest.hexdigest(), stamp)

    def entries(self) -> Iterator[Entry]:
        """Every entry, in the order of the file. Raises `FixInput` when the file was changed since it was checked."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise FixInput(f"{self.path} cannot be read: {error.strerror}.", remedy="Plan again.") from None
        with file:
            seen = False
            for line in file:
                if self.stamp and _stamp(file) != self.stamp:  # checked after reading the line: it was still the plan's
                    raise FixInput(f"{self.path} was changed while in use.", remedy="Look at it, then start again.")
                if line.startswith(b"#"):
                    continue
                if seen and not line.startswith(b'{"digest":'):
                    yield _entry(line)
                seen = True

    def beside(self, suffix: str) -> Path:
        """A file that belongs to this plan: same folder and name, another ending."""
        return self.path.with_name(f"{self.path.name.removesuffix('.plan')}{suffix}")


def _read_header(path: Path, line: bytes) -> Header:
    try:
        header = _header(line)
    except UNREADABLE:
        raise FixInput(f"{path} is not a plan.", remedy="`flexsync import plan` makes one.") from None
    if header.flexsync_plan != VERSION:
        raise FixInput(f"{path} is a plan of version {header.flexsync_plan}, this is {VERSION}.", remedy="Plan again.")
    return header


def _stamp(file: IO[bytes]) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
