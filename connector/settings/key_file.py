"""The file that holds the API key, as Docker and Kubernetes mount it.

Promised: a file that others can read or write is refused; no message holds what is in it. Never done: writing it.
"""

from __future__ import annotations

import os
import stat

from connector.errors import FixInput
from connector.paths import expanded
from connector.settings.values import Secret

__all__ = ["read_key"]

_OPEN = stat.S_IWGRP | stat.S_IRWXO
"""Rights that a key's file must not give: to everybody, and to its group the right to write."""
_MOST = 64 * 1024  # bytes; more is no key


def read_key(given: str) -> Secret:
    """Return the key that a file holds.

    Args:
        given: its path; links are followed, as a mounted secret is one.

    Raises:
        FixInput: it cannot be read, is empty or too long, or others have rights to it.
    """
    path = expanded(given)
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & _OPEN:
            raise FixInput(
                f"key_file {given} is open to others (mode {stat.S_IMODE(mode):04o}).",
                remedy=f"Run chmod 600 {given}; for a mounted secret set mode 0400 (defaultMode in Kubernetes).",
            )
        key = Secret(path.read_text(encoding="ascii", errors="replace")[:_MOST].strip())
    except OSError as error:
        raise FixInput(
            f"key_file {given} cannot be read: {error.strerror}.",
            remedy="Correct [api] key_file, or its owner and mode.",
        ) from None
    if not key:
        raise FixInput(f"key_file {given} is empty.", remedy="Write the API key into it, on one line.")
    return key
