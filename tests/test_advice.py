"""Advice about cells that certainly mean something else: given always, taken only where somebody names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from importing import shop, state, table

from connector.api.fields import TEXTS
from connector.push.file import rules
from connector.push.file.advice import advised
from connector.push.file.country_names import country_meant
from connector.push.file.zone_names import zones
from pipelines.report import plan_page_rows
from pipelines.report.plan_summary import plan_summary

PLACES_OF_SEVERAL = (
    "San Juan", "La Rioja", "Petersburg", "East", "South", "north", "Center", "General", "act", "nsw", "Samoa", "Knox",
    "Norfolk", "Nassau", "Wallis", "Kanton", "Tripoli", "Antigua", "La Paz", "Santarem", "Palmer", "Cordoba",
)  # fmt: skip
OFFSETS = ("GMT+1", "gmt-5", "GMT +1", "UTC+1", "(GMT+1)", "UTC+01:00", "CET+1", "+1")


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("name", " Acme ", ("trim", "Acme")), ("name", "Acme\u00a0\u200b", ("trim", "Acme")),
        ("name", " ", ("trim", "")),
        ("metadata.tier", "gold ", ("trim", "gold")),
        ("address_country", "de", ("country", "DE")),
        ("address_country", " DE", ("trim", "DE")), ("address_country", " de", ("country", "DE")),
        ("address_country", "Deutschland", ("country", "DE")), ("address_country", "UK", ("country", "GB")),
        ("timezone", "berlin", ("timezone", "Europe/Berlin")),
        ("timezone", "EUROPE/PARIS", ("timezone", "Europe/Paris")),
        ("timezone", "new york", ("timezone", "America/New_York")), ("timezone", "utc", ("timezone", "UTC")),
        ("email", "Ann <a@b.example>", ("email", "a@b.example")),
        ("email", "mailto:a@b.example", ("email", "a@b.example")),
        ("email", "a@b.example,", ("email", "a@b.example")), ("email", " a@b.example", ("trim", "a@b.example")),
        ("external_id", " a", ("id-spaces", "a")), ("id", "cust_1 ", ("id-spaces", "cust_1")),
    ],
)  # fmt: skip
def test_what_is_certain(field: str, text: str, told: tuple[str, str]) -> None:
    """Spaces around, a country or zone in another spelling, and one address in other words are certain."""
    assert advised(field, text) == told


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "Acme"), ("name", "\\N "), ("address_country", "DE"), ("address_country", "EU"),
        ("address_country", "Dtl"),
        ("timezone", "Indianapolis"), ("timezone", "Mars"), ("timezone", "Europe/Berln"), ("timezone", "CET+1"),
        ("email", "a@@b"), ("email", "a@b.example, c@d.example"), ("email", "a b@c.example"), ("external_id", "42"),
        ("email", "A <a@b.example> B <c@d.example>"), ("address_country", ""),
        *(("timezone", place) for place in PLACES_OF_SEVERAL), *(("timezone", offset) for offset in OFFSETS),
        *(("address_country", word) for word in ("na", "Na", "no", "No", "N.A.", "none", "n/a", "ß", "\ufb01", "ſk")),
    ],
)  # fmt: skip
def test_what_is_not_certain(field: str, text: str) -> None:
    """Where two things could be meant, or a letter is wrong, there is no advice."""
    assert advised(field, text) is None


def test_advice_passes_the_rules() -> None:
    """Whatever is advised for a country, a zone or an e-mail is what the rule of the field accepts."""
    for field, texts in (("address_country", ("usa", "Brasil")), ("timezone", ("london", "us/eastern"))):
        for text in texts:
            found = advised(field, text)
            assert found is not None
            assert rules.check(field)(found[1]) is None
    assert country_meant("Österreich") == country_meant("osterreich") == "AT"


def test_nothing_is_fixed_that_was_not_named(tmp_path: Path) -> None:
    """Without --fix the file's own values are planned; with it the plan says what the file said and what is written."""
    row = {"external_id": " k", "name": "Acme ", "metadata.tier": " gold", "address_city": "Köln"}
    with shop(tmp_path, accept=("spaces",)) as it:
        plain = it.plan(table(row))
        assert plain.plan is not None
        (entry,) = plain.plan.entries()
        assert entry.changes == {
            "external_id": " k",
            "name": "Acme ",
            "address_city": "Köln",
            "metadata": {"tier": " gold"},
        }
        assert plain.counts.advice == {"id-spaces": 1, "trim": 2}
        fixed = it.plan(table(row), fix=("trim",))
        assert fixed.plan is not None
        (entry,) = fixed.plan.entries()
        assert entry.changes == {
            "external_id": " k",
            "name": "Acme",
            "address_city": "Köln",
            "metadata": {"tier": "gold"},
        }
        assert (fixed.counts.fixed, fixed.counts.advice) == ({"trim": 2}, {"id-spaces": 1})
        both = it.plan(table(row), fix=("trim", "id-spaces"))
        assert both.counts.doubts + both.counts.held == 0
        it.apply(both)
        (customer,) = state(it.sandbox).values()
        assert (customer["external_id"], customer["name"], customer["metadata"]) == ("k", "Acme", {"tier": "gold"})


def test_only_what_is_written_is_called_fixed(tmp_path: Path) -> None:
    """Nothing is said to be written of a row that is held, left out or invalid, though its advice is taken."""
    rows = [
        {"external_id": "a", "name": "#N/A", "address_country": "de"},
        {"external_id": "b", "name": "B ", "email": "@@"},
        {"external_id": "c", "name": "C", "address_country": "fr"},
    ]
    with shop(tmp_path, fix=("trim", "country")) as it:
        found = it.plan(table(*rows))
        assert found.counts.fixed == {"country": 1}
        text = plan_summary(found)
        assert text.count("plan writes") == 1
        assert "line 4, column address_country: file said fr, plan writes FR" in text
        assert found.plan is not None
        shown = {entry.line: plan_page_rows._row(entry, True)["advice"][0][4] for entry in found.plan.entries()}
        assert shown == {2: "once written", 3: "once written", 4: "taken"}


def test_fixed_keys_are_compared_as_they_are_written(tmp_path: Path) -> None:
    """Two rows whose ids are one id without spaces are duplicates once the spaces are taken off."""
    rows = table({"external_id": "k", "name": "A"}, {"external_id": "k ", "name": "B"})
    with shop(tmp_path) as it:
        assert it.plan(rows, fix=("id-spaces",)).counts.faults == {"duplicate_key": 2}
        assert it.plan(rows).counts.faults == {}


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "external_id"])
def test_a_cell_of_blanks_leaves_its_field_alone_once_trimmed(tmp_path: Path, name: str) -> None:
    """With --fix trim a cell of spaces is a blank cell, in every field."""
    with shop(tmp_path, {"external_id": "k", "name": "A"}) as it:
        assert it.plan(table({"external_id": "k", name: "  "}), fix=("trim",)).counts.unchanged == 1


@pytest.mark.parametrize("offset", OFFSETS)
def test_an_offset_gets_no_zone_as_a_hint(offset: str) -> None:
    """GMT+1 is an hour before Etc/GMT+1, and no other zone's name is a guess at an offset."""
    verdict = rules.check("timezone")(offset)
    assert verdict is not None
    assert "Did you mean" not in verdict[1]


def test_what_is_advised_for_a_zone_is_that_zone_or_a_city_in_it() -> None:
    """Of every zone's last part only a city's is taken: none of a state, a region, a base or an offset."""
    for name in zones().values():
        found = advised("timezone", name.rpartition("/")[2].lower().replace("_", " "))
        area = found[1].split("/") if found else ["Europe", ""]
        assert len(area) <= 2, found
        assert area[0] not in ("Etc", "US", "Brazil", "Canada", "Mexico", "Chile", "Antarctica"), found


def test_a_code_that_means_a_missing_value_or_a_word_is_no_country() -> None:
    """NA is Namibia where it is written so; in small letters nobody knows whether a country is meant."""
    for word in ("na", "no", "Na", "No"):
        verdict = rules.check("address_country")(word)
        assert verdict is not None
        assert "Write a code" in verdict[1]
    assert rules.check("address_country")("NA") is None
