"""The fields of a customer, declared once: names, types, limits and what each means (contract.md 4, 5.1, 5.3).

`connector.api.models.Customer`, the customer that `connector.push` compares, the rules for a CSV file, its template and
its export are all made from `CustomerFields`. To add a field, begin here; docs/develop.md lists the other files.

Promised: `FIELDS` lists the text fields in the order of the template. Never done: checking values, see
`connector.push.file.rules`; I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_type_hints

import msgspec

__all__ = ["FIELDS", "TEXTS", "CustomerFields", "Field", "Identity", "Object"]


@dataclass(frozen=True, slots=True)
class Field:
    """A text field that a customer can be given.

    Attributes:
        meaning: one sentence for the template.
        characters: how many the server accepts.
        octets: how many bytes in UTF-8 the server accepts; 0 where only characters count.
        clearable: whether PUT accepts "" for it (contract.md 5.3).
        required: whether a create needs it.
        example: a value that passes.
    """

    meaning: str
    characters: int
    octets: int = 0
    clearable: bool = True
    required: bool = False
    example: str = ""


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all objects of the API: immutable, built by keyword, unknown keys ignored."""


class Identity(Object, frozen=True, kw_only=True):
    """What every use of a stored object needs to know about it."""

    id: str
    environment_id: str = ""
    status: str = ""


class CustomerFields(Identity, frozen=True, kw_only=True):
    """What a customer can be given.

    A text whose default is None is None where the server sends none, `metadata` where it sends null: both differ from
    empty ones.
    """

    external_id: Annotated[str, Field("your own id of the customer; unique", 255, 0, False, True, "acme-1")] = ""
    name: Annotated[str, Field("name of the customer", 255, 0, False, True, "Acme Ltd")] = ""
    email: Annotated[
        str, Field("one address without a display name", 255, 0, False, example="billing@acme.example")
    ] = ""
    contact: Annotated[str | None, Field("telephone", 20, example="+15550100")] = None
    address_line1: Annotated[str, Field("street", 255, 255, example="1 Main St")] = ""
    address_line2: Annotated[str, Field("street, continued", 255, 255, example="Floor 2")] = ""
    address_city: Annotated[str, Field("city", 100, 100, example="Springfield")] = ""
    address_state: Annotated[str, Field("state or province", 100, 100, example="IL")] = ""
    address_postal_code: Annotated[str, Field("postal code", 20, 20, example="62701")] = ""
    address_country: Annotated[str, Field("ISO 3166-1 alpha-2, upper case", 2, 0, False, example="US")] = ""
    timezone: Annotated[
        str, Field("IANA zone; UTC where a new customer has none", 255, 0, False, example="America/Chicago")
    ] = ""
    metadata: dict[str, str] | None = None


FIELDS: dict[str, Field] = {
    name: field
    for name, hint in get_type_hints(CustomerFields, include_extras=True).items()
    for field in getattr(hint, "__metadata__", ())
}
"""Name → field, in the order of the template."""

TEXTS = tuple(FIELDS)
"""Names of the text fields."""
