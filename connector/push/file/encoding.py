"""The encoding of a file: from its byte order mark, from the bytes themselves, or as given by the user.

Promised: an encoding that nothing proves is marked as a guess. Of equally likely encodings the same one always wins.
Never done: decoding the file; that is `connector.push.file.delimited`.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from connector.errors import FixInput
from connector.push.file.source import CHUNK, SAMPLE, Probe

__all__ = ["Encoding", "detect", "error_handler"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Names are too short to tell Western from Central European encodings, so the first of equally likely ones wins.
_GUESSES = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "mac_roman"]
_NOISE = 0.005, 0.05  # by which chaos and coherence of one file differ by chance: a few odd lines decide nothing
_ESCAPED = re.compile("[\udc80-\udcff]")
_WIDE = ("utf-16", "utf-32")
# Not used for files, or with letters that depend on the lines before.
_UNFIT = re.compile("idna|punycode|.*escape|utf-7|hz|iso2022.*")


class Encoding(NamedTuple):
    """How the bytes of a file become text.

    Attributes:
        bom: the byte order mark with which the file begins; b"" for none.
        name: Python's name of the encoding.
        guessed: whether nothing proves it.
    """

    bom: bytes
    name: str
    guessed: bool = False


def error_handler(name: str) -> str:
    """The error handler under which undecodable bytes survive, so that a record can be written back byte for byte."""
    return "surrogatepass" if name.startswith(_WIDE) else "surrogateescape"


def detect(path: Path, probe: Probe, given: str | None) -> Encoding:
    """Find the encoding of a file.

    Args:
        path: the file.
        probe: its first bytes, and whether all of it is UTF-8.
        given: the encoding named by the user, or None.

    Raises:
        FixInput: the given encoding is unknown, or cannot be read line by line.
    """
    head = probe.head
    bom, marked = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), (b"", ""))
    if given:
        return _checked(given, bom, marked)
    if marked:
        return Encoding(bom, marked)
    halves = head[0::2], head[1::2]
    for zeros, name in ((halves[1], "utf-16-le"), (halves[0], "utf-16-be")):
        if len(head) > 3 and zeros.count(0) > len(zeros) * 0.6:  # Latin, Greek or Cyrillic text without its mark
            return Encoding(b"", name, guessed=True)
    if probe.utf8 or _mostly_utf8(path):
        return Encoding(b"", "utf-8")
    return Encoding(b"", _guess(path), guessed=True)


def _checked(given: str, bom: bytes, marked: str) -> Encoding:
    try:
        found = codecs.lookup(given)
        "a".encode(given)
    except (LookupError, ValueError, TypeError):
        raise FixInput(f"encoding {given!r} is unknown.", remedy="Write utf-8, utf-16, cp1252 …") from None
    name = found.name.removesuffix("-sig")
    if _UNFIT.fullmatch(name):
        raise FixInput(f"encoding {given!r} cannot be read line by line.", remedy="Save the file as UTF-8.")
    if name in _WIDE:
        name = marked if marked.startswith(name) else f"{name}-le"
    return Encoding(bom if marked == name else b"", name)


def _mostly_utf8(path: Path) -> bool:
    """Whether the file is UTF-8 apart from a few damaged bytes: then only their lines are faults, not the file."""
    good = bad = 0
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        while text := file.read(CHUNK):
            if text.isascii():
                continue
            broken = len(_ESCAPED.findall(text))
            bad += broken
            good += len(text) - len(text.encode("ascii", "ignore")) - broken
    return good >= bad  # valid UTF-8 letters are rarely accidental; a fault is visible, a wrong letter is not


def _guess(path: Path) -> str:
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        lines = [line for line in file.read(16 * CHUNK).splitlines() if not line.isascii()]
    found = from_bytes(b"\n".join(lines)[:SAMPLE], cp_isolation=_GUESSES)
    calm = [match for match in found if match.chaos <= min(one.chaos for one in found) + _NOISE[0]]
    likely = [match for match in calm if match.coherence >= max(one.coherence for one in calm) - _NOISE[1]]
    names = {name for match in likely for name in match.could_be_from_charset}  # under some of them it reads the same
    return next((name for name in _GUESSES if name in names), _GUESSES[0])
