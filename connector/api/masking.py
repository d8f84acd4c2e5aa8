"""The API key, masked in what comes from outside: a server, a gateway or a debug answer can repeat it.

Promised: the key is masked in every body before anything is decoded or stored, with as many stars as it has bytes, so
that JSON stays JSON; in a text that a message shows, runs of its characters are masked as well, in either letter case,
percent-encoded, as HTML or JSON escapes, and with spaces between them. Never done: masking a short key in data, where
it can be a word; finding a key that was encoded as a whole (base64, a hash), or one in
data whose every letter is escaped, as no usual encoder does.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from connector.settings import Secret

__all__ = ["Mask", "redacted", "redacted_in"]

LEAST_KEY = 8  # characters: a shorter key is none that a server drew
RUN = 12  # characters of the key in a row: fewer can stand in an id, whose first ten tell the time as the key's do
LONGEST = 4096  # characters of a text that are looked through, and kept: a message shows the first few hundred
_UNIT = re.compile(r"%([0-9a-f]{2})|&#(\d{2,3});|&#x([0-9a-f]{2});|\\u00([0-9a-f]{2})|\s+|.", re.IGNORECASE | re.DOTALL)


class Mask:
    """Masks one key in bodies.

    Args:
        secret: the key.

    Attributes:
        repeated_in: the operation whose answer repeated the key first; "" while none has.
    """

    def __init__(self, secret: Secret) -> None:
        self.repeated_in = ""
        longest = max(re.findall(r"[^\W_]+", secret.reveal(), re.ASCII), key=len, default="")
        # An encoder may escape other characters of the key, but no letters and digits.
        self._core = (longest if len(longest) >= RUN else secret.reveal()).encode()
        self._cases = (self._core, self._core.lower(), self._core.upper())
        self._forms = re.compile(rb"|".join((_whole(secret), re.escape(self._core))), re.IGNORECASE)

    def notes(self) -> list[str]:
        """Return what the reader of a run's report should know about the answers so far, in words."""
        where = self.repeated_in
        return [f"the server repeats the API key in its answers, first in {where}: it was masked"] if where else []

    def body(self, body: bytes, operation: str) -> bytes:
        """Return the body with the key masked; the same object where it does not hold the key.

        Args:
            body: of any answer, as received.
            operation: of the call, for `repeated_in`.
        """
        if len(self._core) < RUN or not any(core in body for core in self._cases):
            return body
        self.repeated_in = self.repeated_in or operation
        return self._forms.sub(lambda found: _stars(body, found), body)


def _whole(secret: Secret) -> bytes:
    """Return a pattern of the whole key in which every character may be escaped."""
    forms = ((re.escape(one), ord(one)) for one in secret.reveal())
    return "".join(rf"(?:{one}|%{at:02x}|&#{at};|&#x{at:x};|\\u{at:04x})" for one, at in forms).encode()


def _stars(body: bytes, found: re.Match[bytes]) -> bytes:
    """Stars, but for a first letter that an escape can need: without its n, a line feed leaves no JSON."""
    kept = 1 if body[max(0, found.start() - 1) : found.start()] == b"\\" else 0
    return found[0][:kept] + b"*" * (len(found[0]) - kept)


def redacted(text: str, secret: Secret) -> str:
    """Return a text from outside with the key masked, cut to `LONGEST` characters.

    A key of a few characters is masked only as a word, or it would mask parts of others; of a long one every run of
    `RUN` characters is masked.
    """
    text = text[:LONGEST]
    size = len(secret.reveal()) if secret else 0
    if not size:
        return text
    if size >= RUN:
        return _without_runs(text, secret)
    edge = ("", "") if size >= LEAST_KEY else (r"(?<!\w)", r"(?!\w)")
    return re.sub(edge[0] + re.escape(secret.reveal()) + edge[1], "***", text, flags=re.IGNORECASE)


def redacted_in(value: Any, secret: Secret) -> Any:
    """Return JSON with the key masked in every text and name."""
    if isinstance(value, str):
        return redacted(value, secret)
    if isinstance(value, dict):
        return {redacted(str(name), secret): redacted_in(item, secret) for name, item in value.items()}
    return [redacted_in(item, secret) for item in value] if isinstance(value, list) else value


def _without_runs(text: str, secret: Secret) -> str:
    units = [found for found in _UNIT.finditer(text) if not found[0].isspace()]
    plain = "".join(map(_character, units))
    key = secret.reveal().lower()
    runs = {key[at : at + RUN] for at in range(len(key) - RUN + 1)}
    hidden = [False] * len(units)
    for at in range(len(plain) - RUN + 1):
        if plain[at : at + RUN] in runs:
            hidden[at : at + RUN] = [True] * RUN
    return _shown(text, units, hidden)


def _character(unit: re.Match[str]) -> str:
    """Return the one character, in lower case, that an escape or a character stands for."""
    number = unit[1] or unit[3] or unit[4]
    found = chr(int(number, 16)) if number else chr(int(unit[2])) if unit[2] else unit[0]
    lower = found.lower()
    return lower if len(lower) == 1 else found


def _shown(text: str, units: list[re.Match[str]], hidden: list[bool]) -> str:
    """Return the text with *** in place of each group of hidden units, and of what lies between them."""
    parts, end = [], 0
    for hide, group in groupby(range(len(units)), key=hidden.__getitem__):
        places = [*group]
        if hide:
            parts += [text[end : units[places[0]].start()], "***"]
            end = units[places[-1]].end()
    return "".join([*parts, text[end:]])
