"""The two kinds of value that TOML does not have: lengths of time and secrets.

Promised: a duration always carries its unit; a `Secret` appears as ``***`` wherever Python or a library prints it, and
an `Environment` as a number of variables.
Never done: reading a source.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from connector.errors import FixInput

__all__ = ["Environment", "Secret", "checked_key", "duration", "masked", "written"]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BAD_KEY = re.compile(r"[^\x21-\x7e]")
_LARGEST = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


class Secret:
    """A text that no print, format, pickle or JSON shows: it appears as ``***``. `reveal` gives the value."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value itself, for the one header that needs it."""
        return self.__value

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: Any) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, ("***",)  # a pickle is a file: unpickling gives the mask


def masked(given: str | Secret | None) -> Secret | None:
    """Return a given key as a secret; functions call it first, so that no traceback with local variables shows it."""
    return given if given is None or isinstance(given, Secret) else Secret(given)


def checked_key(given: Secret, source: str) -> Secret:
    """Return a key without the spaces around it; "" stays.

    Args:
        given: the key.
        source: the variable or the file that it stems from, for the message.

    Raises:
        FixInput: a header cannot carry it; the text itself is not shown.
    """
    key = Secret(given.reveal().strip())
    if _BAD_KEY.search(key.reveal()):
        raise FixInput(
            f"The key in {source} holds a space or a character outside ASCII.",
            remedy="Copy it again, without anything before or after it.",
        )
    return key


class Environment(Mapping[str, str]):
    """Environment variables that no print, signature or traceback shows: the key is one of them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.__variables = variables

    def __getitem__(self, name: str) -> str:
        return self.__variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__variables)

    def __len__(self) -> int:
        return len(self.__variables)

    def __repr__(self) -> str:
        return f"<{len(self)} environment variables>"


def duration(value: Any) -> timedelta:
    """Read a length of time.

    Args:
        value: ``90s``, ``15m``, ``2h``, ``7d`` or a sum like ``1h30m``.

    Returns:
        The length of time.

    Raises:
        ValueError: anything else; a bare number has no unit.
    """
    total, end = 0.0, 0
    for match in _DURATION.finditer(value) if isinstance(value, str) else ():
        if match.start() != end:
            break
        total, end = total + float(match[1]) * _UNITS[match[2]], match.end()
    if not isinstance(value, str) or not value or end != len(value):
        raise ValueError("is not a length of time")
    try:
        return timedelta(seconds=total)
    except OverflowError:
        raise ValueError("is too long a time") from None


def written(length: timedelta) -> str:
    """Return a length of time as `duration` reads it, in the largest unit that leaves no rest."""
    seconds = length.total_seconds()
    unit, size = next(((unit, size) for unit, size in _LARGEST if seconds and seconds % size == 0), ("ms", 0.001))
    return "0s" if not seconds else f"{round(seconds / size)}{unit}"
