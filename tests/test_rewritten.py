"""Stored values that a spreadsheet rewrites when it opens and saves an export: doubted, as no real change is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import shop
from sizes import examples

from connector.push.file.damage import changed

FIELDS = ("metadata.k", "name", "contact", "address_postal_code")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("true", "TRUE", "boolean"), ("true", "WAHR", "boolean"), ("false", "FALSCH", "boolean"),
        ("False", "EPÄTOSI", "boolean"), ("TRUE", "SANT", "boolean"),
        ("2024-03-01", "01.03.2024", "date"), ("2024-03-01", "3/1/2024", "date"), ("2024-03-01", "01/03/24", "date"),
        ("2024-03-01", "2024-03-01 00:00:00", "date"), ("2024-03-01T10:30:00Z", "01.03.2024 10:30", "date"),
        ("2024-03-01", "1-Mar-24", "date"), ("2024-03-01", "01. Mrz 2024", "date"), ("2024-03-01", "45352", "date"),
        ("3-4", "04. Mrz", "date"), ("1/2", "02. Jan", "date"), ("1.10", "01. Okt", "date"),
        ("MAR1", "01. Mrz", "date"),
        ("3-4", "04.03.2026", "date"), ("10:00", "10:00:00", "date"),
        ("0.5", "0,5", "decimal"), ("1.10", "1.1", "decimal"), ("1.10", "1,1", "decimal"), ("50%", "0,5", "decimal"),
        ("1,234.50", "1234,5", "decimal"),
        ("12345", "12.345", "grouped"), ("12345", "12,345", "grouped"), ("1234567", "1.234.567", "grouped"),
        ("12345", "12\u202f345", "grouped"), ("1234567", "12,34,567", "grouped"),
        ("1234567890123456", "1234567890123450", "rounded"), ("12345678901234567", "12345678901234500", "rounded"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", FIELDS)
def test_what_a_spreadsheet_makes_of_a_stored_value_is_doubted(name: str, before: str, after: str, kind: str) -> None:
    """The same date, truth value or number in a spreadsheet's form, or 15 digits of it, is doubted in every field."""
    found = changed(name, before, after)
    assert found is not None
    if name == "metadata.k":
        assert found.kind == kind


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("true", "FALSE"), ("true", "yes"), ("gold", "TRUE"), ("2024-03-01", "2024-03-02"), ("1.2", "2.1"),
        ("2024-03-01", "03.01.2024"), ("2024-03-01T10:00:00Z", "2024-03-01T12:00:00Z"), ("2024-03-01", "45353"),
        ("3-4", "05. Mrz"), ("10:00", "11:00"), ("0.5", "0.6"), ("1.10", "1.11"), ("12345", "12346"), ("5", "6"),
        ("1067", "01067"), ("4930", "+4930"), ("1234567890123456", "1234567890123457"), ("12345", "123.45"),
        ("1234567890123456", "2234567890123450"), ("", "45352"), ("2024", "2025"), ("1.0.1", "1.0.2"),
    ],
)  # fmt: skip
def test_another_value_is_no_rewriting(before: str, after: str) -> None:
    """Another date, number or truth value is a change, and so are zeros or a plus that come back."""
    assert changed("metadata.k", before, after) is None


def test_a_repair_is_no_damage() -> None:
    """What a spreadsheet spoilt earlier, and somebody wrote right, is not doubted."""
    for before, after in (("12345.0", "12345"), ("4,93012E+10", "49301200000"), ("12345,0", "12345")):
        assert changed("contact", before, after) is None


@settings(max_examples=examples(500), deadline=None, derandomize=True)
@given(st.text("0123456789.,:-/+%E TRUEjanmz'", max_size=24), st.text("0123456789.,:-/+%E WAHRjan'", max_size=24))
def test_any_two_values_are_compared(before: str, after: str) -> None:
    """No pair of values stops the comparison, and equal ones are never doubted."""
    changed("metadata.k", before, after)
    assert changed("metadata.k", before, before) is None


def test_an_export_that_excel_saved_is_held(tmp_path: Path) -> None:
    """Metadata of an export that German Excel opened and saved is asked about, row by row."""
    stored = {"active": "true", "renewal": "2024-03-01", "rate": "0.5", "plan": "1.10", "seats": "12345"}
    header = "external_id;metadata.active;metadata.renewal;metadata.rate;metadata.plan;metadata.seats\n"
    with shop(tmp_path, {"external_id": "c", "name": "N", "metadata": stored}) as it:
        found = it.plan(f"{header}c;WAHR;01.03.2024;0,5;01. Okt;12.345\n")
        assert found.plan is not None
        (entry,) = found.plan.entries()
        assert (entry.do, entry.kinds) == ("held", ["boolean", "date", "decimal", "date", "grouped"])
