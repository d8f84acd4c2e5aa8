"""What the last sync used and wrote, in `STORE.last.json` beside the store, so that other commands find both.

Promised: no key, no header and no customer's data in it; a sync never fails because it cannot be written; what is read
names places to read from only: the address and the key of a call come from the settings, never from this file. While a
sync runs, the file says how far it is. Never done: deciding which place a command takes (`pipelines.places`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from connector.api.grammar import UNREADABLE
from connector.clock import Clock
from connector.errors import FlexsyncError, Interrupted
from connector.publications import targets
from connector.settings import Settings
from pipelines.progress import CALLS, Passing, Progress, Unit

__all__ = ["SUFFIX", "Last", "LastRun", "Step", "path_of", "read", "remembering", "store_of"]

SUFFIX = ".last.json"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_EVERY = 1.0  # seconds between two notes of how far a run is


class Step(msgspec.Struct, frozen=True):
    """A step of a run: its name, what is done, and of how much; `total` is None where nobody knows."""

    name: str
    done: int = 0
    total: int | None = None
    unit: str = "rows"


class LastRun(msgspec.Struct, frozen=True):
    """A run.

    Attributes:
        run_id: "" before it has one.
        mode: full or incremental.
        status: running, green, degraded, failed or interrupted; what says `running` of a store that nobody has locked
            was killed.
        began: by this machine's clock.
        seen: when this was written.
        steps: of a running run, those that began last.
        published: targets that were written.
        error: why it failed.
    """

    began: Moment
    seen: Moment
    run_id: str = ""
    mode: str = ""
    status: str = "running"
    steps: tuple[Step, ...] = ()
    published: tuple[str, ...] = ()
    error: str = ""


class Last(msgspec.Struct, frozen=True):
    """What the last sync of a store used and wrote.

    Attributes:
        run: of it.
        publish: publications, each ``KIND:PATH``; paths inside the store's folder are relative to that.
        base_url: address of the API.
        config: the settings file that was read, as an absolute path, or None.
        profile: of it.
    """

    run: LastRun
    publish: tuple[str, ...] = ()
    base_url: str = ""
    config: str | None = None
    profile: str = ""


def path_of(store: Path) -> Path:
    """Return where the last sync of a store is told of."""
    return store.with_name(store.name + SUFFIX)


def store_of(path: Path) -> Path:
    """Return the store of which a file tells."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def read(store: Path) -> Last | None:
    """Return what is told of a store's last sync, its publications as paths from here; None if nothing can be read."""
    try:
        found = msgspec.json.decode(path_of(store).read_bytes(), type=Last)
    except (OSError, *UNREADABLE):
        return None
    known = (name for name in found.publish if name.partition(":")[0] in (targets.DUCKDB, targets.PARQUET))
    return msgspec.structs.replace(found, publish=tuple(_from(store.parent, name) for name in known))


@contextmanager
def remembering(settings: Settings, inner: Progress, clock: Clock) -> Iterator[Progress]:
    """Write down what a sync does, from its beginning to its end; the store is locked meanwhile.

    Args:
        settings: of the sync.
        inner: the progress that shows it.
        clock: this machine's.

    Yields:
        The progress that the sync is to use.
    """
    progress = _Remembering(settings, inner, clock)
    progress.write()
    try:
        yield progress
    except BaseException as error:
        progress.failed(error)
        raise


class _Remembering(Passing):
    """Passes progress on, and writes it beside the store, at most once a second."""

    def __init__(self, settings: Settings, inner: Progress, clock: Clock) -> None:
        super().__init__(inner)
        self._path = path_of(settings.sync.store)
        self._clock = clock
        self._written = 0.0
        self._told = False
        self._steps: dict[str, Step] = {}
        self._run = LastRun(clock(), clock())
        folder = settings.sync.store.parent
        config = str(settings.config.resolve()) if settings.config else None
        publish = tuple(_within(folder, name) for name in settings.sync.publish)
        self._last = Last(self._run, publish, settings.api.base_url, config, settings.profile)

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """A step begins; endpoints that are called side by side are steps beside each other."""
        self._steps = {known: s for known, s in self._steps.items() if total is not None and s.total is not None}
        self._steps[name] = Step(name, 0, total, "rows" if total is None else unit[1].split()[0])
        self._write_sometimes()
        super().step(name, total, unit)

    def advance(self, name: str, count: int) -> None:
        """A step goes on."""
        if step := self._steps.get(name):
            self._steps[name] = msgspec.structs.replace(step, done=step.done + count)
            self._write_sometimes()
        super().advance(name, count)

    def began(self, run_id: str, mode: str) -> None:
        """The run has its id."""
        self._run = msgspec.structs.replace(self._run, run_id=run_id, mode=mode)
        self.write()
        super().began(run_id, mode)

    def ended(self, report: dict[str, Any]) -> None:
        """The run has ended."""
        self._steps.clear()
        published = tuple(_within(self._path.parent, name) for name in report["published"])
        self._run = msgspec.structs.replace(self._run, status=report["status"], published=published)
        self.write()
        super().ended(report)

    def failed(self, error: BaseException) -> None:
        """The run has failed."""
        self._steps.clear()
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        why = error.message if isinstance(error, FlexsyncError) else type(error).__name__
        self._run = msgspec.structs.replace(self._run, status=status, error=why)
        self.write()

    def _write_sometimes(self) -> None:
        if time.monotonic() - self._written >= _EVERY:
            self.write()

    def write(self) -> None:
        """Write everything; a place that cannot be written is a note."""
        self._written = time.monotonic()
        run = msgspec.structs.replace(self._run, seen=self._clock(), steps=tuple(self._steps.values()))
        data = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(self._last, run=run)), indent=2)
        temporary = self._path.with_name(f".{self._path.name}.part")  # the store's lock keeps others from it
        try:
            temporary.write_bytes(data + b"\n")
            temporary.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if not self._told:
                self._told = True
                why = f"{self._path} cannot be written ({error.strerror})"
                super().note(f"{why}: `status` will not say how far this run is, nor where it published")


def _within(folder: Path, name: str) -> str:
    """Return a target as it is written down: its path is relative to the store's folder if it lies there."""
    target = targets.parse(name)
    whole = folder.resolve()
    path = target.path.resolve()
    return f"{target.kind}:{path.relative_to(whole) if path.is_relative_to(whole) else path}"


def _from(folder: Path, name: str) -> str:
    kind, _, path = name.partition(":")
    return f"{kind}:{os.path.normpath(folder / path)}"
