"""Paths that people give: which file or folder is meant, and whether DuckDB would open exactly that one.

Promised: a leading `~` is the home folder only where it stands alone, so that a file may be called `~a`. Never done:
looking into a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from connector.errors import FixInput

__all__ = ["database_file", "expanded"]

_ADDRESS = re.compile(r":\w+:|[A-Za-z][\w+.-]+:")  # :memory:, md:, s3:; one letter is a drive
# DuckDB puts the name of its log before a ?, and makes a slash of every backslash.
_READ_OTHERWISE = re.compile(r"[?\x00]" if os.sep == "\\" else r"[?\\\x00]")


def expanded(path: str | Path) -> Path:
    """Return the absolute path that is meant; `~` and `~/…` are in the home folder."""
    place = Path(path)
    return (place.expanduser() if place.parts[:1] == ("~",) else place).absolute()


def database_file(path: str | Path) -> Path:
    """Return the absolute path of a DuckDB file, there or not.

    Args:
        path: as it was given.

    Raises:
        FixInput: it is the address of something that is not a file; DuckDB would open another file than that.
    """
    place = expanded(path)
    if _ADDRESS.match(str(path)) and not place.exists():
        raise FixInput(f"{path} is not a file.", remedy="Give the path of a DuckDB file, as work.duckdb.")
    if _READ_OTHERWISE.search(str(place)) or not _encodes(place):
        raise FixInput(
            f"{str(place)!r} cannot be the path of a DuckDB file: DuckDB reads a character of it otherwise.",
            remedy="Give a path without ? and \\, in valid UTF-8.",
        )
    return place


def _encodes(place: Path) -> bool:
    """Return whether a path is valid Unicode: Python keeps other bytes as surrogates."""
    try:
        str(place).encode()
    except UnicodeEncodeError:
        return False
    return True
