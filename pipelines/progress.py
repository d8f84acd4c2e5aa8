"""How a job says how far it is; `pipelines.report` has the ones that draw and print.

Promised: a job only ever speaks through this, so it runs the same with nobody listening. Never done: printing.
"""

from __future__ import annotations

from typing import Any

from connector.api.calls import Call

__all__ = ["Progress"]


class Progress:
    """Told how far the run is; the silent one. `pipelines.report.terminal` has those that print."""

    def step(self, name: str, total: int | None = None, unit: str = "calls to make") -> None:
        """Begin a step; `total` is what it will count to, when known, in `unit`s."""

    def advance(self, name: str, count: int) -> None:
        """Count on."""

    def note(self, text: str) -> None:
        """Say something once."""

    def end(self) -> None:
        """Nothing follows."""

    def pause(self) -> None:
        """Leave the terminal to a question."""

    def resume(self) -> None:
        """Take it back."""

    def called(self, call: Call, status: int, seconds: float) -> None:
        """One HTTP exchange was made; status 0 means that no answer came."""

    def ended(self, report: dict[str, Any]) -> None:
        """Tell how the run ended."""
