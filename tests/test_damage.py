"""What a spreadsheet does to a file: told exactly, held until it is decided, and never confused with a real change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import shop, table
from sizes import examples

from connector.api.fields import TEXTS
from connector.push.file import damage
from connector.push.file.damage import changed, spoilt


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Köln", "KÃ¶ln", "wrong encoding"),
        ("Ünïcode GmbH", "√únicode GmbH", "wrong encoding"),  # not exactly the stored value, and garbled all the same
        ("A &amp; B", "A &amp; C", ""),  # it was so before
        ("株式会社", "æ\xa0ªå¼\x8fä¼\x9aç¤¾", "wrong encoding"),
        ("+15550100", "15550100", "leading + or zeros"),
        ("01067", "1067", "leading + or zeros"),
        ("491512345678", "4.91512E+11", "scientific"),
        ("Köln", "Koeln", ""),
        ("Acme", "Acme Ltd", ""),
        ("1067", "01067", ""),
        ("", "1067", ""),
        ("01067", "", ""),
    ],
)
def test_exact_damage_is_told(before: str, after: str, told: str) -> None:
    """Mojibake, lost plus signs and zeros and scientific notation are named; other changes are not."""
    found = changed("address_city", before, after)
    assert bool(told) == (found is not None)
    assert found is None or told in found.text


@given(st.text(min_size=1))
def test_the_same_value_is_never_damage(text: str) -> None:
    """A value that did not change is not told of, whatever it holds."""
    assert changed("name", text, text) is None


def test_every_field_without_a_form_is_looked_at() -> None:
    """A country, a time zone and most of an e-mail have rules of their own; any other text can be spoilt."""
    assert {*TEXTS} - damage.TEXTS == {"email", "address_country", "timezone"}


PARTS = ["A", "ü", "Ã¼", "0", "00", "12", ".", ",", "-", "/", " ", "E+", "Mar", "null", "TRUE", "id", "&amp;",
         "_x000D_", "\ufb01", "?", "x", "+", "'", "#N/A", "株", "\u200b", "(", "2024", "Jan", "n/a",
         "external_id"]  # fmt: skip


@settings(max_examples=examples(2000), deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join), st.sampled_from([*TEXTS, "metadata.k"]))
def test_the_short_way_overlooks_nothing(text: str, name: str) -> None:
    """A value that is passed at first sight shows no damage of the table."""
    assert spoilt(name, text) == damage._shown(name, text)


ERRORS = (
    "#¡VALOR! #¡REF! #¡DIV/0! #¿NOMBRE? #¡NULO! #¡DESBORDAMIENTO! #N/B #I/T #DEEL/0! #VÆRDI! #Н/Д #ЗНАЧ! #YOK #N/DISP"
    " #GETTING_DATA #BLOCKED! #ÜBERLAUF! Err:502 Fehler:502"
)
TRUTHS = "VERDADEIRO PRAWDA FAŁSZ SANT FALSKT SAND FALSK SANN USANN TOSI EPÄTOSI WAHR False"
MISSING = (
    "NA|na|<NA>|NaT|k.A.|k. A.|n/v|N/D|(empty)|<empty>|unbekannt|unknown|Keine Angabe|not available|<nil>|NaN|1.#QNAN"
)


def kind_of(name: str, text: str) -> str:
    found = spoilt(name, text)
    return found.kind if found else ""


def test_the_errors_and_truth_values_of_every_language_are_doubted() -> None:
    """What Excel, LibreOffice and Sheets write for an error or a truth value is told in each language they speak."""
    assert {kind_of(name, text) for name in ("name", "contact", "metadata.k") for text in ERRORS.split()} == {"error"}
    assert {kind_of("external_id", text) for text in TRUTHS.split()} == {"boolean"}
    assert (kind_of("name", "SAND"), kind_of("name", "TOSI")) == ("", "")  # names in capitals


def test_words_for_a_missing_value_are_doubted() -> None:
    """What R, pandas, Go, C and people write for nothing is no value, but where it may be one."""
    fields = ("external_id", "name", "contact", "address_line1", "address_city", "address_postal_code")
    found = {(name, text): kind_of(name, text) for name in fields for text in MISSING.split("|")}
    assert {pair: kind for pair, kind in found.items() if kind != "placeholder"} == {}
    assert {kind_of("metadata.k", text) for text in ("<NA>", "NaT", "<nil>", "NaN")} == {"placeholder"}
    right = [("metadata.k", "NAT"), ("metadata.region", "NA"), ("address_state", "NA"), ("address_city", "Leer"),
             ("address_state", "ND"), ("name", "Nat Ltd"), ("name", "NA Ltd"), ("metadata.k", "unknown")]  # fmt: skip
    assert [pair for pair in right if kind_of(*pair)] == []


def test_a_code_that_is_also_a_word_for_nothing_is_doubted_beside_another(tmp_path: Path) -> None:
    """R writes NA in every missing cell: as country, state or metadata it is doubted where two cells of a row are."""
    full = {"external_id": "a", "name": "A", "address_country": "DE", "metadata.tier": "gold"}
    with shop(tmp_path, full) as it:
        rows = [
            {"external_id": "a", "address_country": "NA", "metadata.tier": "NA"},
            {"external_id": "b", "name": "B", "address_country": "NA"},
            {"external_id": "c", "name": "C", "address_state": "NA", "address_country": "IT"},
            {"external_id": "d", "name": "D", "address_state": "NA", "address_country": "NA", "metadata.tier": "NA"},
            {"external_id": "e", "name": "E", "contact": "NA", "address_country": "NA"},
            {"external_id": "f", "name": "F", "metadata.region": "NA"},
        ]
        found = it.plan(table(*rows))
        assert found.plan is not None
        told = {entry.external_id: [text.split(" ")[0] for text in entry.doubts] for entry in found.plan.entries()}
        assert told == {
            "a": ["address_country", "metadata.tier"], "b": [], "c": [],
            "d": ["address_state", "address_country", "metadata.tier"], "e": ["contact", "address_country"], "f": [],
        }  # fmt: skip


@pytest.mark.parametrize("key", ["12.345", "12,345", "1.000", "1.234.567", "12,34,567", "12.345,00", "1’234"])
def test_a_key_with_thousands_marks_is_doubted(key: str) -> None:
    """A number with one group of thousands or more is doubted as external_id, in the marks of any country."""
    found = spoilt("external_id", key)
    assert found is not None
    assert found.kind == "grouped"


@pytest.mark.parametrize(
    "header", ["Kundennummer", "KUNDENNUMMER", "N° client", "external_id", "id", "Customer No.", "Nr"]
)
def test_a_header_in_the_middle_of_a_file_is_no_customer(tmp_path: Path, header: str) -> None:
    """Files that were joined repeat their header: it is doubted under a known name, a mapped one or the field's own."""
    with shop(tmp_path, mapping={"Nr": "external_id"} if header == "Nr" else {}) as it:
        key = header if header != "id" else "external_id"
        found = it.plan(f"{key};Firma;Ort\n7;Acme;Bonn\n{header};Firma;Ort\n8;Bcme;Ulm\n")
        assert found.plan is not None
        told = {entry.external_id: entry.kinds for entry in found.plan.entries()}
        assert told == {"7": [], header: ["header"], "8": []}


def test_damage_and_near_doubles_are_asked_about(tmp_path: Path) -> None:
    """Damaged values, and a new id that differs from an existing one by spaces, are named and held."""
    stored = {"external_id": "K-1", "name": "Köln AG", "contact": "+49221", "address_postal_code": "01067"}
    with shop(tmp_path, stored, {"external_id": "K-2", "name": "Zwei"}) as it:
        found = it.plan(
            table(
                {"external_id": "K-1", "name": "KÃ¶ln AG", "contact": "49221", "address_postal_code": "1067"},
                {"external_id": "K-2", "name": "Drei"},
                {"external_id": "K-2 ", "name": "Zwei"},
            )
        )
        assert found.plan is not None
        first, second, third = found.plan.entries()
        assert first.kinds == ["encoding", "zeros", "zeros"]
        assert (second.do, second.doubts) == ("update", [])
        assert any(text.startswith("'K-2' exists (cust_") for text in third.doubts)
        assert [first.do, third.do] == ["held", "held"]
        assert (found.counts.held, found.counts.writes, found.exit_code) == (2, 1, 1)
