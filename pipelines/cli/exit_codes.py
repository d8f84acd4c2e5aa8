"""The exit codes of `flexsync`.

==== ==================================================================
0    done; for a sync: green
1    partly done: rows were refused, or the copy is incomplete or stale
2    wrong input: flags, settings, SQL or a file
3    the API is unreachable, or it refused the key
4    another run holds the lock
5    internal error
130  interrupted; state is kept
==== ==================================================================

Errors carry their own code (`connector.errors`); the constants are for outcomes that are not errors of that kind.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DONE", "PARTIAL"]

DONE: Final = 0
PARTIAL: Final = 1
