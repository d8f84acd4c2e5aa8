"""The rows of the plan page as JSON inside HTML.

Promised: no HTML parser takes a value for markup; a value that a spreadsheet would run as a formula is split into the
quote that is put in front and the text itself. Entries are read one by one, and those beyond the limit are counted.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from connector.push.apply.results import neutral
from connector.push.plan.entry import Entry

__all__ = ["MAX_ROWS", "rows_json"]

MAX_ROWS = 50_000  # of a page: more make browsers slow
IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def rows_json(entries: Iterable[Entry], neutralise: bool) -> Generator[str, None, int]:
    """Yield a JSON array in parts, an entry each; unchanged entries are skipped.

    Returns:
        How many entries are not in the array, because it holds `MAX_ROWS`.
    """
    taken = left_out = 0
    for entry in entries:
        if entry.do == "unchanged":
            continue
        if taken == MAX_ROWS:
            left_out += 1
            continue
        text = json.dumps(_row(entry, neutralise), separators=(",", ":"))  # ASCII, so U+2028 and U+2029 are escaped
        yield ("," if taken else "[") + "\n" + text.translate(IN_SCRIPT)
        taken += 1
    yield "\n]" if taken else "[]"
    return left_out


def _row(entry: Entry, neutralise: bool) -> dict[str, Any]:
    """The fields of an entry that the page shows; empty ones are left out."""
    changes = [change for name, (before, after) in entry.set.items() for change in _changes(name, before, after)]
    faults = [[fault.column, fault.value, fault.rule, fault.remedy] for fault in entry.faults]
    taken = "taken" if entry.writes else "once written"
    advice = [[one.column, one.said, one.better, one.fix, taken if one.taken else ""] for one in entry.advice]
    fields = {"external_id": entry.external_id, "id": entry.id, "changes": changes, "faults": faults}
    doubts = {"doubts": entry.doubts, "decision": entry.decision, "advice": advice}
    shown = {**fields, "why": entry.why, "notes": entry.notes, **doubts}
    texts = {name: _text(value, neutralise) for name, value in shown.items() if value}
    return {"do": entry.do, **({"line": entry.line} if entry.line else {}), **texts}


def _changes(name: str, before: Any, after: Any) -> Iterator[list[Any]]:
    """A field with its values before and after; of metadata one list for each key that differs, with the key last."""
    if name != "metadata":
        yield [name, before, after]
        return
    old, new = before or {}, after or {}
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if not keys:
        yield [name, before if before is None else "", after if after is None else ""]
    for key in keys:
        yield [name, old.get(key), new.get(key), key]


def _text(value: Any, neutralise: bool) -> Any:
    """Texts as they are; a formula becomes an object that keeps the added quote apart from the text."""
    if isinstance(value, list):
        return [_text(item, neutralise) for item in value]
    if value is None:
        return None
    text = str(value)
    safe = neutral(text) if neutralise else text
    return text if safe == text else {"added": safe.removesuffix(text), "text": text}
