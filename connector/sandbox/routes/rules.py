"""What the server checks in a customer before it writes one (contract.md 5.1, 5.3).

Promises the tags and the shape of `details` as the server words them. Never touches data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from zoneinfo import available_timezones

from connector.countries import COUNTRIES
from connector.sandbox.replies import Json, refuse
from connector.sandbox.routes.bodies import Reader

__all__ = ["check_create", "check_update", "email_ok", "zone_ok"]

_ATOM = r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]+"
_LETTER = r"[a-zA-Z\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]"
_ALNUM = _LETTER.replace("[a-z", "[0-9a-z")
_INSIDE = _ALNUM.replace("[0-9", r"[\-.~0-9")
_EMAIL = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*@(?:(?:{_ALNUM}|{_ALNUM}{_INSIDE}*{_ALNUM})\.)+(?:{_LETTER}|{_LETTER}{_INSIDE}*{_LETTER})"
)
_GSTIN = re.compile(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][A-Z0-9]Z[A-Z0-9]")
_PAN = re.compile(r"[A-Z]{5}[0-9]{4}[A-Z]")
_HSN = re.compile(r"(?:[0-9]{4}|[0-9]{6}|[0-9]{8})")

LENGTHS = {
    "name": 255,
    "contact": 20,
    "address_line1": 255,
    "address_line2": 255,
    "address_city": 100,
    "address_state": 100,
    "address_postal_code": 20,
}
BYTE_LENGTHS = {
    "address_line1": 255,
    "address_line2": 255,
    "address_city": 100,
    "address_state": 100,
    "address_postal_code": 20,
}
"""Checked a second time, in bytes (contract.md 5.1)."""

GO_NAMES = {"external_id": "ExternalID", "name": "Name", "email": "Email", "contact": "Contact", "timezone": "Timezone"}
FAILED = "Request validation failed"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_ok(name: str) -> bool:
    """Whether the server could load the zone; names are case-sensitive and `Local` is refused."""
    return name in _zones()


def email_ok(text: str) -> bool:
    """Whether both of the server's e-mail checks accept the address."""
    return _EMAIL.fullmatch(text) is not None


def go_name(key: str) -> str:
    """The Go field name that `details` is keyed by (contract.md 2.1)."""
    if key in GO_NAMES:
        return GO_NAMES[key]
    return "".join(part.capitalize() for part in key.split("_"))


def check_create(fields: Json, reader: Reader) -> None:
    """Refuse a create that breaks a rule, all broken fields in one answer."""
    broken = {key: "required" for key in ("external_id", "name") if not fields.get(key)}
    broken |= _too_long(fields, [*LENGTHS])
    broken |= {key: tag for key, tag, fine in _formats() if fields.get(key) and not fine(fields[key])}
    _refuse_broken("CreateCustomerRequest", broken)
    _check_mappings(reader)
    _check_bytes(fields)
    _check_tax_keys(fields.get("metadata"))


def check_update(fields: Json) -> None:
    """Refuse an update that breaks a rule. An explicit "" is checked, so three fields cannot be cleared (5.3)."""
    broken = _too_long(fields, [key for key in LENGTHS if key != "name"])
    broken |= {key: tag for key, tag, fine in _formats() if fields.get(key) is not None and not fine(fields[key])}
    _refuse_broken("UpdateCustomerRequest", broken)
    _check_bytes(fields)
    _check_tax_keys(fields.get("metadata"))


def _formats() -> tuple[tuple[str, str, Callable[[str], bool]], ...]:
    return (
        ("email", "email", email_ok),
        ("address_country", "iso3166_1_alpha2", COUNTRIES.__contains__),
        ("timezone", "timezone", zone_ok),
    )


def _too_long(fields: Json, keys: list[str]) -> dict[str, str]:
    return {key: "max" for key in keys if len(fields.get(key) or "") > LENGTHS[key]}


def _refuse_broken(request: str, broken: dict[str, str]) -> None:
    if broken:
        refuse("validation_error", FAILED, **dict(_field_error(request, go_name(k), tag) for k, tag in broken.items()))


def _field_error(request: str, name: str, tag: str) -> tuple[str, str]:
    return name, f"Key: '{request}.{name}' Error:Field validation for '{name}' failed on the '{tag}' tag"


def _check_bytes(fields: Json) -> None:
    over = {k: f"must be at most {n} bytes" for k, n in BYTE_LENGTHS.items() if len((fields.get(k) or "").encode()) > n}
    if over:
        refuse("validation_error", FAILED, **over)


def _check_mappings(reader: Reader) -> None:
    """`integration_entity_mapping` is validated, then discarded (contract.md 5.1)."""
    limits = (("entity_id", 255), ("entity_type", None), ("provider_type", 50), ("provider_entity_id", 255))
    for number, mapping in enumerate(reader.objects("integration_entity_mapping") or ()):
        for key, longest in limits:
            text = mapping.string(key)
            tag = "required" if not text else "max" if longest and len(text) > longest else ""
            if tag:
                name = go_name(key).replace("Id", "ID")
                request = f"CreateCustomerRequest.IntegrationEntityMapping[{number}]"
                refuse("validation_error", FAILED, **dict([_field_error(request, name, tag)]))


def _check_tax_keys(metadata: dict[str, str] | None) -> None:
    """gstin, pan and hsn_sac are checked trimmed and upper-cased, and stored as sent (contract.md 5.1)."""
    if not metadata:
        return
    gstin, pan = (metadata.get(key, "").strip().upper() for key in ("gstin", "pan"))
    hsn = metadata.get("hsn_sac", "").strip()
    for key, text, pattern in (("gstin", gstin, _GSTIN), ("pan", pan, _PAN), ("hsn_sac", hsn, _HSN)):
        if text and not pattern.fullmatch(text):
            refuse("validation_error", f"Invalid {key} format", **{key: metadata[key]})
    if gstin and pan and gstin[2:12] != pan:
        refuse("validation_error", "PAN does not match GSTIN", pan=pan, pan_from_gstin=gstin[2:12])
