"""Flexsync for programs: `import flexsync`. The names of `connector`, under the project's own.

`flexsync.open(…)`, `flexsync.read(…)`, `flexsync.Flexprice(…)` and the others of `__all__` are those of `connector`,
loaded on first use. Never done here: anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import connector

if TYPE_CHECKING:
    from connector import (
        AsyncFlexprice,
        Faults,
        Flexprice,
        Sandbox,
        Settings,
        errors,
        load,
        models,
        open,
        read,
        read_rows,
    )

__all__ = [
    "AsyncFlexprice", "Faults", "Flexprice", "Sandbox", "Settings", "errors", "load", "models", "open",
    "read", "read_rows",
]  # fmt: skip


if not TYPE_CHECKING:  # or type checkers would take any name for a public one

    def __getattr__(name: str) -> Any:
        """Load a public name on first use."""
        if name in __all__:
            return getattr(connector, name)
        raise AttributeError(f"module 'flexsync' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
