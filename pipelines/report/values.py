"""One value as text or as JSON, and text from outside as a terminal may show it.

Promised: nothing is rounded; decimals keep every digit that counts. What is shown on a terminal controls nothing and
hides nothing. Never done: changing what JSON and files hold.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from connector.push.file.wording import one_line
from connector.visible import visible

__all__ = ["as_text", "jsonable", "one_line", "visible"]


def as_text(value: Any) -> str:
    """A value for people: decimals without trailing zeros, timestamps in ISO 8601, maps and lists as JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(jsonable(value)).decode()
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def jsonable(value: Any) -> Any:
    """A value of a row for JSON: decimals as exact strings, maps as objects, timestamps in ISO 8601."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return as_text(value)
