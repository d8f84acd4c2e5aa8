"""What a list request selects: GET's query string and POST's body, bound into one Filter.

Promises the refusals and defaults of contract.md 3.1-3.5 for every list. Never touches rows; `query.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from connector.sandbox.replies import Refusal, error_reply, refuse
from connector.sandbox.routes.bodies import Params, Reader, first_value, query_object, read_object
from connector.sandbox.routes.rules import email_ok

__all__ = ["INVALID", "Condition", "Filter", "bind_body", "bind_query"]

INVALID = "Invalid filter parameters"
MAX_LIMIT = 1000
DEFAULT_LIMIT = 50

LISTS = frozenset({"external_ids", "customer_ids", "filters", "subscription_ids", "subscription_status", "plan_ids"})
WHOLES = frozenset({"limit", "offset"})


@dataclass(slots=True)
class Condition:
    """One member of `filters`. `value` is None when it was missing or null, which makes the server panic (2.4)."""

    field: str
    operator: str
    string: str | None = None
    number: float | None = None
    boolean: bool | None = None
    date: int | None = None
    array: list[str] | None = None
    given: bool = False


@dataclass(slots=True)
class Filter:
    """A list request, checked.

    Attributes:
        limit_given: whether the request names its limit.
        archived_included: whether archived customers are listed when no status is named (servers before 2026-07).
        loose: whether rows that the sort leaves equal come in any order (contract.md 3.3).
    """

    limit: int
    offset: int
    status: str
    order: str
    sort: list[tuple[str, str]] = field(default_factory=list)
    expand: bool = False
    conditions: list[Condition] = field(default_factory=list)
    equals: dict[str, str] = field(default_factory=dict)
    within: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, str] | None = None
    subscription_status: list[str] = field(default_factory=list)
    start_time: int | None = None
    end_time: int | None = None
    limit_given: bool = False
    archived_included: bool = False
    loose: bool = False

    @property
    def parameters(self) -> int:
        """How many values the statement would carry (contract.md 2.4)."""
        return sum(map(len, self.within.values())) + sum(len(c.array or ()) for c in self.conditions)

    def names(self, column: str) -> bool:
        """Whether a condition is on a column."""
        return any(condition.field == column for condition in self.conditions)


def bad() -> NoReturn:
    """400, the plain one."""
    refuse("validation_error", INVALID)


def bind_body(body: bytes | None) -> Filter:
    """POST …/search."""
    reader = read_object(body, INVALID)
    sort = [_sort_entry(entry) for entry in reader.objects("sort") or ()]
    conditions = [_condition(entry) for entry in reader.objects("filters") or ()]
    return _filter(reader, sort, conditions, reader.string_map("metadata"))


def bind_query(params: Params, noun: str) -> Filter:
    """GET list. Its `sort` is refused whatever it says (contract.md 3.5)."""
    sort = next((value for key, value in params if key == "sort"), None)
    if sort is not None:
        _refuse_sort(sort, noun)
    reader = query_object(params, LISTS, WHOLES, bad)
    conditions = [_condition(_object(text)) for text in reader.strings("filters") or ()]
    text = reader.string("metadata")
    metadata = Reader({"m": _object(text).value}, bad).string_map("m") if text else None
    return _filter(reader, [], conditions, metadata)


def _refuse_sort(value: str, noun: str) -> NoReturn:
    if _is_object(value):
        refuse("database_error", f"Failed to list {noun}")
    bad()


def _is_object(text: str) -> bool:
    try:
        return isinstance(first_value(text.encode()), dict)
    except ValueError:
        return False


def _object(text: str) -> Reader:
    return read_object(text.encode(), INVALID) if _is_object(text) else bad()


def _sort_entry(entry: Reader) -> tuple[str, str]:
    return entry.string("field") or "", entry.string("direction") or ""


def _condition(entry: Reader) -> Condition:
    found = Condition(entry.string("field") or "", entry.string("operator") or "")
    entry.string("data_type")
    value = entry.object("value")
    if value is not None:
        found.given = True
        found.string, found.number = value.string("string"), value.number("number")
        found.boolean, found.date = value.boolean("boolean"), value.timestamp("date")
        found.array = value.strings("array")
    return found


def _filter(
    reader: Reader, sort: list[tuple[str, str]], conditions: list[Condition], metadata: dict[str, str] | None
) -> Filter:
    made = Filter(
        limit=_limit(reader.integer("limit")),
        limit_given=bool(reader.integer("limit")),
        offset=_offset(reader.integer("offset")),
        status=reader.string("status") or "",
        order=_order(reader.string("order")),
        sort=sort,
        expand=_expand(reader.string("expand")),
        conditions=conditions,
        metadata=metadata,
        subscription_status=reader.strings("subscription_status") or [],
    )
    made.start_time, made.end_time = _times(reader)
    for key in ("external_id", "email", "customer_id", "plan_id"):
        text = reader.string(key)
        if text:
            made.equals[key] = text
    for key in ("external_ids", "customer_ids", "subscription_ids", "plan_ids"):
        texts = reader.strings(key)
        if texts:
            made.within[key] = texts
    if "email" in made.equals and not email_ok(made.equals["email"]):
        refuse("validation_error", "Please provide a valid email")
    return made


def _limit(given: int | None) -> int:
    if not given:
        return DEFAULT_LIMIT
    if not 1 <= given <= MAX_LIMIT:
        refuse("validation_error", INVALID, limit=f"must be between 1 and {MAX_LIMIT}")
    return given


def _offset(given: int | None) -> int:
    if given is not None and given < 0:
        refuse("validation_error", INVALID, offset="must be non-negative")
    return given or 0


def _order(given: str | None) -> str:
    if given and given not in ("asc", "desc"):
        refuse("validation_error", INVALID, order="must be either 'asc' or 'desc'")
    return given or "desc"


def _expand(given: str | None) -> bool:
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    for name in names:
        if name != "integrations":
            raise Refusal(error_reply("validation_error", "Field is not allowed to be expanded", {"field": name}))
    return bool(names)


def _times(reader: Reader) -> tuple[int | None, int | None]:
    """Validated here, and ignored by the customer lists (contract.md 3.1)."""
    start, end = reader.timestamp("start_time"), reader.timestamp("end_time")
    if start is not None and end is not None and end < start:
        refuse("validation_error", "Please provide a valid time range", end_time="must be after start_time")
    return start, end


def check_expand(params: Params) -> bool:
    """The `expand` of a GET-one route."""
    return _expand(next((value for key, value in params if key == "expand"), None))
