"""The log of a run: one JSON object a line, for each step, each commit, each HTTP exchange that failed, and the end.

Promised: a line never holds a key, a header or a body; each has `run_id`, which is null until the run has one; a run
that ends with an error says so in its last line.
Never done here: messages for people (`pipelines.report.progress`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from connector.api.calls import Call
from connector.clock import Clock, exact_now
from connector.errors import FixInput, FlexsyncError
from pipelines.progress import CALLS, Passing, Progress, Unit

__all__ = ["LoggedProgress", "logged"]

ENDED = ("status", "mode", "reasons", "calls", "seconds", "published")  # of a report, in its log line


class LoggedProgress(Passing):
    """Passes progress on to another one, and writes each step to a log."""

    def __init__(self, inner: Progress, log: Any) -> None:
        super().__init__(inner)
        self._log = log.bind(run_id=None)

    def step(self, name: str, total: int | None = None, unit: Unit = CALLS) -> None:
        """A step begins."""
        self._log.info("step", name=name, total=total)
        super().step(name, total, unit)

    def advance(self, name: str, count: int) -> None:
        """Rows or calls of a step were committed."""
        self._log.info("committed", name=name, count=count)
        super().advance(name, count)

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self._log.warning("note", text=text)
        super().note(text)

    def called(self, call: Call, status: int, seconds: float) -> None:
        """Write an exchange that did not succeed; status 0 means that no response came."""
        if not 200 <= status < 300:
            self._log.warning(
                "exchange", operation=call.operation, about=call.about, status=status, seconds=round(seconds, 3)
            )
        super().called(call, status, seconds)

    def began(self, run_id: str, mode: str) -> None:
        """Write which run it is; every line from here on names it."""
        self._log = self._log.bind(run_id=run_id)
        self._log.info("began", mode=mode)
        super().began(run_id, mode)

    def ended(self, report: dict[str, Any]) -> None:
        """Write how the run ended."""
        self._log.info("ended", **{name: report[name] for name in ENDED})
        super().ended(report)

    def failed(self, error: FlexsyncError) -> None:
        """Write that the run ended with an error."""
        told = {"message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
        self._log.error("failed", error=type(error).__name__, **told)


@contextmanager
def logged(inner: Progress, path: Path | None, clock: Clock = exact_now) -> Iterator[Progress]:
    """Append the run's log to `path`, one JSON object a line; without a path only `inner` sees the progress.

    Args:
        inner: shows the progress.
        path: the file, or None.
        clock: this machine's, for the time of each line; UTC.

    Raises:
        FixInput: the file cannot be written.
    """
    if path is None:
        yield inner
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise FixInput(f"{path} cannot be written: {error}.", remedy="Choose another --log.") from error
    with file:
        processors: list[structlog.types.Processor] = [
            structlog.processors.add_log_level,
            lambda _log, _level, event: {**event, "timestamp": f"{clock():%Y-%m-%dT%H:%M:%S.%fZ}"},
            structlog.processors.JSONRenderer(),
        ]
        log = structlog.wrap_logger(structlog.PrintLogger(file), processors=processors)
        progress = LoggedProgress(inner, log)
        try:
            yield progress
        except FlexsyncError as error:
            progress.failed(error)
            raise
