"""Logs as lines of JSON, for machines: what a run does, step by step, and every exchange that was not a success.

Promised: a line never holds a key, a header or a body. Never done: deciding; talking to people (see `report`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from connector.api.calls import Call
from connector.errors import FixInput
from pipelines.progress import Progress


class Logged(Progress):
    """Passes progress on to another one, and writes each step as a line."""

    def __init__(self, inner: Progress, log: Any) -> None:
        self._inner = inner
        self._log = log

    def step(self, name: str, total: int | None = None, unit: str = "calls to make") -> None:
        """Begin a step."""
        self._log.info("step", name=name, total=total)
        self._inner.step(name, total, unit)

    def advance(self, name: str, count: int) -> None:
        """Count on."""
        self._log.info("committed", name=name, count=count)
        self._inner.advance(name, count)

    def note(self, text: str) -> None:
        """Say something once."""
        self._log.warning("note", text=text)
        self._inner.note(text)

    def end(self) -> None:
        """Nothing follows."""
        self._inner.end()

    def called(self, call: Call, status: int, seconds: float) -> None:
        """Write an exchange that did not succeed; status 0 means that no answer came."""
        if not 200 <= status < 300:
            self._log.warning(
                "exchange", operation=call.operation, about=call.about, status=status, seconds=round(seconds, 3)
            )

    def ended(self, report: dict[str, Any]) -> None:
        """Write how the run ended."""
        kept = ("run_id", "status", "mode", "reasons", "calls", "seconds", "published")
        self._log.info("ended", **{name: report[name] for name in kept})


@contextmanager
def logged(inner: Progress, path: Path | None) -> Iterator[Progress]:
    """Write the run's log to `path`, one JSON object a line; without a path only `inner` is told.

    Raises:
        FixInput: the file cannot be written.
    """
    if path is None:
        yield inner
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise FixInput(f"{path} cannot be written: {error}.", remedy="Give another --log.") from error
    with file:
        processors: list[structlog.types.Processor] = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso", utc=True),
            structlog.processors.JSONRenderer(),
        ]
        log = structlog.wrap_logger(structlog.PrintLogger(file), processors=processors)
        yield Logged(inner, log)
