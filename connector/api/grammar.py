r"""Whether a body is JSON by its grammar, whatever its texts and numbers are.

A decoder refuses a whole body for one lone surrogate (`"\ud800"`), which a database or a proxy can hand on. Promised: a
body that was torn, garbled or cut is told from one that is whole and holds such a value. Never done: using the values.
"""

from __future__ import annotations

import json

import msgspec

__all__ = ["GRAMMAR", "refuse_torn"]

GRAMMAR = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)  # knows surrogates, and no limit of numbers


def refuse_torn(body: bytes) -> None:
    """Make sure that a body is JSON by its grammar.

    Args:
        body: what a decoder refused.

    Raises:
        msgspec.DecodeError: it is torn or garbled: nothing in it can be relied on.
    """
    try:
        GRAMMAR.decode(body.decode("utf-8", "surrogateescape"))
    except RecursionError:
        return  # nested too deep to check; taking it apart still finds the brackets that do not match
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from error
