"""Create, update, archive: POST, PUT and DELETE of customers (contract.md 5).

Promises the answers the server gives, its bugs included: PUT's stale timestamps, the panic on null metadata, the
echo of nanoseconds. Never checks who is asking; `server` does.
"""

from __future__ import annotations

from typing import NoReturn

from connector.sandbox.clock import stamp_nanos
from connector.sandbox.data.account import Account
from connector.sandbox.data.blanks import TEXTS
from connector.sandbox.data.customers import ARCHIVED, PUBLISHED, STATUSES
from connector.sandbox.ids import mix
from connector.sandbox.replies import Json, Reply, json_reply, panic, refuse
from connector.sandbox.routes.bodies import Reader, read_object
from connector.sandbox.routes.rules import check_create, check_update

__all__ = ["archive", "create", "missing", "missing_key", "update"]

INVALID = "Invalid request format"
COLUMN_LENGTH = 255
"""What the columns hold; beyond it PostgreSQL refuses (contract.md 2.4)."""


def missing(customer_id: str) -> NoReturn:
    """404 by id."""
    refuse("not_found", f"Customer with ID {customer_id} was not found", customer_id=customer_id)


def missing_key(lookup_key: str) -> NoReturn:
    """404 by external id."""
    refuse("not_found", f"Customer with lookup key {lookup_key} was not found", lookup_key=lookup_key)


def _fields(reader: Reader) -> Json:
    fields: Json = {key: reader.text(key) for key in TEXTS}
    fields["metadata"] = reader.text_map("metadata")
    return fields


def create(account: Account, body: bytes | None, user: str) -> Reply:
    """POST /customers."""
    reader = read_object(body, INVALID)
    fields = _fields(reader)
    _check_other_members(reader)
    check_create(fields, reader)
    taken = account.published(fields["external_id"])
    _refuse_text(fields, "Failed to create customer", ("external_id", "email"))
    if taken is not None:
        refuse("already_exists", "A customer with this identifier already exists", external_id=fields["external_id"])
    _refuse_unknown_tax(reader)
    row = account.blank_customer(account.fresh_id("cust", account.customers), fields)
    row["created_by"] = row["updated_by"] = user
    nanos = account.now() * 1000 + mix(account.seed + account.customers.count) % 1000
    moment = (nanos + 500) // 1000
    account.apply("insert_customer", row, moment, moment, PUBLISHED)
    echo = stamp_nanos(nanos)  # the application's own value; the row holds it rounded to microseconds
    return json_reply({**row, "created_at": echo, "updated_at": echo}, 201)


def _check_other_members(reader: Reader) -> None:
    reader.truth("skip_onboarding_workflow")
    reader.text("onboarding_workflow_name")
    for item in reader.objects("tax_rate_overrides") or ():
        item.text("tax_rate_code"), item.text("currency"), item.whole("priority"), item.truth("auto_apply")


def _refuse_unknown_tax(reader: Reader) -> None:
    """The account has no tax rates, so every code is unknown and the create is rolled back (contract.md 2.4)."""
    for item in reader.objects("tax_rate_overrides") or ():
        code = item.text("tax_rate_code") or ""
        refuse("not_found", f"Tax rate with code {code} was not found", tax_rate_code=code)


def _refuse_text(fields: Json, message: str, keys: tuple[str, ...]) -> None:
    """What only the database refuses: over-long values, and NUL in any string."""
    texts = [fields[key] for key in TEXTS if fields[key]]
    texts += [part for pair in (fields["metadata"] or {}).items() for part in pair]
    if any(len(fields[key] or "") > COLUMN_LENGTH for key in keys) or any("\0" in text for text in texts):
        refuse("database_error", message)


def update(
    account: Account,
    customer_id: str | None,
    external_id: str | None,
    body: bytes | None,
    user: str,
    cached: Json | None = None,
) -> Reply:
    """PUT /customers; the answer has the old `updated_at` and `updated_by` (contract.md 5.3).

    Every column is written from the row that it starts from: a `cached` one brings old values back (contract.md 3.8).
    """
    if not customer_id and not external_id:
        refuse("validation_error", NO_IDENTIFIER)
    fields = _fields(read_object(body, INVALID))
    check_update(fields)
    number = _addressed(account, customer_id, external_id)
    before = cached or account.customers.row(number)
    after = _merged(account, number, before, fields)
    moment = account.now()
    answer = json_reply(after)
    account.apply("change_customer", number, {**after, "updated_by": user}, moment, account.customers.kinds[number])
    return answer


NO_IDENTIFIER = (
    "Provide id as query parameter (?id=...) or "
    "provide external_customer_id as query parameter (?external_customer_id=...)"
)
DIFFERENT = (
    "Providing either id or external_customer_id is sufficient. But when providing both, "
    "ensure both identifiers refer to the same customer."
)


def _addressed(account: Account, customer_id: str | None, external_id: str | None) -> int:
    by_key = account.published(external_id) if external_id else None
    if external_id and by_key is None:
        missing_key(external_id)
    if not customer_id:
        return by_key if by_key is not None else missing("")
    number = account.customers.find(customer_id)
    if by_key is not None and by_key != number:
        refuse("validation_error", DIFFERENT)
    return missing(customer_id) if number is None else number


def _merged(account: Account, number: int, before: Json, fields: Json) -> Json:
    given = {key: value for key, value in fields.items() if value is not None}
    renamed = given.get("external_id", before["external_id"]) != before["external_id"]
    if renamed:
        given["metadata"] = _remember(account, number, before, given)
    if given.get("name") == "" or given.get("external_id") == "":
        refuse("database_error", "Failed to update customer")
    texts = {key: given.get(key) for key in (*TEXTS, "metadata")}
    _refuse_text(texts, "Failed to update customer", ("external_id", "name", "email"))
    fresh = {**before, **given}
    kept = {key: before[key] for key in ("status", "created_at", "updated_at", "created_by", "updated_by")}
    return account.blank_customer(fresh["id"], fresh) | {"timezone": fresh["timezone"]} | kept


def _remember(account: Account, number: int, before: Json, given: Json) -> dict[str, str]:
    """A change of external id writes the *new* id into `old_external_ids`; null metadata panics (contract.md 5.3)."""
    if before["metadata"] is None:
        panic()
    _refuse_taken(account, number, given["external_id"], before["email"])
    if "metadata" in given:
        return dict(given["metadata"])
    known = before["metadata"].get("old_external_ids")
    joined = f"{known},{given['external_id']}" if known else given["external_id"]
    return dict(sorted({**before["metadata"], "old_external_ids": joined}.items()))


def _refuse_taken(account: Account, number: int, external_id: str, email: str) -> None:
    holder = account.published(external_id)
    if holder is not None and holder != number and account.customers.kinds[number] == PUBLISHED:
        message = "A customer with this identifier already exists"
        refuse("already_exists", message, email=email, external_id=external_id)


def archive(account: Account, customer_id: str, user: str) -> Reply:
    """DELETE /customers/{id}: soft, and blocked by a subscription in status `active` only (contract.md 5.4)."""
    number = account.customers.find(customer_id)
    if number is None:
        missing(customer_id)
    if account.customers.kinds[number] != PUBLISHED:
        refuse("not_found", "Customer does not exist")
    active = [row for row in account.subscriptions_of(customer_id) if account.subscriptions.kinds[row] == 0]
    if active:
        refuse("invalid_operation", "Please cancel all subscriptions before deleting the customer")
    row = {**account.customers.row(number), "status": STATUSES[ARCHIVED], "updated_by": user}
    account.apply("change_customer", number, row, account.now(), ARCHIVED)
    return Reply(204, b"", None)
