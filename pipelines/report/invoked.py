"""How this command can be typed again, for lines that are made to be pasted.

Promised: what is returned works in the current folder, whether or not an environment is activated. Never done: running
anything.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["invoked"]

NAME = "flexsync"


def invoked() -> str:
    """Return the words that call this command, quoted for a shell: its name where that finds it, else its path."""
    own = _script()
    if own is None:
        return f"{_word(Path(sys.executable))} -m pipelines.cli"
    found = shutil.which(NAME)
    return NAME if found and Path(found).samefile(own) else _word(own)


def _script() -> Path | None:
    """Return the script that runs, or the one beside this Python; None where there is none."""
    called = Path(sys.argv[0])
    if called.stem == NAME and called.is_file():
        return called.absolute()
    beside = shutil.which(NAME, path=str(Path(sys.executable).parent))
    return Path(beside) if beside else None


def _word(path: Path) -> str:
    here = Path.cwd()
    if path.parent == here:  # a shell does not look for a bare name here
        return shlex.quote(f"./{path.name}")
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
