"""A messy file of customers as a CRM and a spreadsheet leave it, made from a seed, and the list of what is in it.

`write(path, rows, seed)` writes a file in cp1252 with semicolons under the headers of a CRM export, plants every kind
of damage, fault and proposal in it, and returns what was planted and which customers the account holds beforehand. It
knows nothing of `connector`: kinds, columns and lines are said by whoever planted them. About a third of the rows are
spoilt in one way each; the others are right, and some of them look odd.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

HEADERS = {
    "external_id": "Kundennummer", "name": "Company Name", "email": "E-Mail", "contact": "Telefon",
    "address_line1": "Street", "address_line2": "Adresszusatz", "address_postal_code": "ZIP", "address_city": "Ort",
    "address_state": "State", "address_country": "Land", "timezone": "Time Zone", "metadata.tier": "metadata.tier",
    "": "Notizen",
}  # fmt: skip
"""Field → its header; "" is the column that is no field."""
NAMES = ("Müller & Söhne", "Ægir Søfart", "Smith, Jones & Co", 'The "Best" Ltd', "O'Neill AG", "Vero GmbH", "4711")
PLACES = (
    ("Köln", "NRW", "50667", "DE", "Europe/Berlin"),
    ("'s-Hertogenbosch", "NB", "5211 AX", "NL", "Europe/Amsterdam"),
    ("Lisboa", "", "1100-148", "PT", "Europe/Lisbon"),
)
Cells = dict[str, str]
Where = tuple[int, str]  # line, kind


@dataclass
class Mess:
    """A messy file, and what is in it.

    Attributes:
        path: the file.
        rows: how many.
        existing: the customers that the account holds before the import.
        faults: (line, rule) of every fault while nothing is fixed.
        doubts: (line, kind) of every doubt while nothing is fixed.
        advice: (line, kind) of every proposal.
        fixable: lines whose faults are gone once proposals are taken.
        right: external_id → line of the rows without any of these.
    """

    path: Path
    rows: int = 0
    existing: list[Cells] = field(default_factory=list)
    faults: Counter[Where] = field(default_factory=Counter)
    doubts: Counter[Where] = field(default_factory=Counter)
    advice: Counter[Where] = field(default_factory=Counter)
    fixable: set[int] = field(default_factory=set)
    right: dict[str, int] = field(default_factory=dict)


def right(number: int, chance: Random) -> Cells:
    """A row that is right."""
    city, state, code, country, zone = chance.choice(PLACES)
    return {
        "external_id": f"C-{number:06d}",
        "name": f"{chance.choice(NAMES)} {number}",
        "email": chance.choice(("", f"billing+{number}@mail{number % 7}.example.com")),
        "contact": chance.choice(("", f"+49 221 {number}", f"(0221) {number}", f"0{number + 10_000}")),
        "address_line1": f"Straße {number % 300}",
        "address_line2": chance.choice(("", "", "Hof 3", "c/o Vero")),
        "address_city": city, "address_state": state, "address_postal_code": code,
        "address_country": country, "timezone": zone,
        "metadata.tier": chance.choice(("gold", "0", "FALSE", "none", "01.02.2024", "")),
        "": chance.choice(("", "call back", "#N/A", "  ", "x" * 300)),
    }  # fmt: skip


# --- what is planted ----------------------------------------------------------------------------------------------

ERRORS = (
    "#NV",
    "#N/A",
    "#REF!",
    "#BEZUG!",
    "#VALUE!",
    "#NAME?",
    "#DIV/0!",
    "########",
    "Err:502",
    "#¡VALOR!",
    "#¿NOMBRE?",
    "#N/B",
    "#I/T",
)
VALUES: tuple[tuple[str, str, tuple[str, ...]], ...] = (  # kind of doubt, field, values of a new customer
    ("error", "name", ERRORS), ("error", "address_city", ERRORS[:3]),
    ("error", "metadata.tier", ERRORS[-3:]),
    ("error", "external_id", ()),  # made unique below
    ("placeholder", "name", ("null", "NULL", "None", "undefined", "NaN", "n/a", "-", "?", "NA", "NaT", "k.A.")),
    ("placeholder", "metadata.tier", ("null", "undefined", "[object Object]", "<NA>")),
    ("placeholder", "contact", ("NA", "<NA>")), ("placeholder", "address_city", ("NA",)),
    ("zero", "name", ("0", "0.0")), ("zero", "contact", ("0", "0,00")), ("boolean", "name", ("TRUE", "FALSCH", "VRAI")),
    ("date", "name", ("04-Mar", "01.02.2024", "2024-02-01 00:00", "3. Mrz")),
    ("date", "address_line1", ("03-Apr", "04/03/2024")), ("date", "address_postal_code", ("01. Jan", "Jan 67")),
    ("scientific", "contact", ("4,93012E+11", "4.93012E+11", "4,9E+10")),
    ("scientific", "metadata.tier", ("1,2E+15",)), ("rounded", "name", ("12345678901234500000",)),
    ("decimal", "address_postal_code", ("1067.0", "1067,0")), ("decimal", "contact", ("493012345.0",)),
    ("formula", "contact", ('="0049301"', "'0049301")), ("formula", "address_postal_code", ('="01067"',)),
    ("encoding", "name", ("MÃ¼ller", "CafÃ© â‚¬", "Â© Corp")), ("encoding", "address_city", ("KÃ¶ln",)),
    ("letters", "name", ("M?ller", "Gro?handel")),
    ("escape", "name", ("A &amp; B", "K&ouml;ln &#39;x&#39;", "A_x000D_")),
    ("break", "name", ("Acme\nLtd", "Acme\tLtd")), ("break", "address_city", ("Ber-\nlin",)),
    ("invisible", "name", ("Gesell\xadschaft",)), ("invisible", "email", ("a\xa0b@c.example",)),
    ("encoding", "email", ("mÃ¼ller@b.example",)),
)  # fmt: skip
KEYS: dict[str, tuple[str, ...]] = {  # kind of doubt → new keys; each is used once
    "zero": ("0",), "boolean": ("FALSE", "WAHR", "VERDADEIRO", "SANT"),
    "header": ("id", "External ID", "Kundennummer", "N° client"),
    "date": ("01.02.2024", "04-Mar", "2024-03-04"), "decimal": ("12345.0", "777,0"),
    "rounded": ("12345678901234500000",), "scientific": ("1,23457E+11", "9.9E+12"),
    "formula": ('="001"', "'acct-1"), "grouped": ("1,234,567", "9.876.543", "54.321", "7,654", "1,23,456"),
    "error": ("#NV", "#REF!"), "placeholder": ("null", "n/a"), "blank": ("   ",),
    "invisible": ("x\xady",), "break": ("x\nz",),
}  # fmt: skip
FAULTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (  # rule, field, values that nothing certain can be made of
    ("email", "email", ("nobody", "a@@b.example", "a b@c.example")),
    ("country", "address_country", ("Atlantis", "EU")), ("timezone", "timezone", ("Mars/Base", "GMT+25")),
    ("too_long", "contact", ("1" * 21,)), ("too_many_bytes", "address_city", ("é" * 60,)), ("required", "name", ("",)),
    ("required", "external_id", ("",)),
)  # fmt: skip
FIXES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (  # kind, rule while it is not taken, field, values
    ("trim", "", "name", (" Acme", "Acme\xa0", "Acme\n")), ("trim", "", "address_city", ("Köln ",)),
    ("trim", "", "metadata.tier", ("gold ",)), ("trim", "email", "email", (" a@b.example",)),
    ("trim", "", "email", ("a@b.example\xa0",)),  # which the server accepts
    ("trim", "country", "address_country", ("DE ",)), ("trim", "timezone", "timezone", (" Europe/Paris",)),
    ("country", "country", "address_country", ("de", "Germany", "Deutschland", "UK", " usa")),
    ("timezone", "timezone", "timezone", ("berlin", "europe/paris", "EUROPE/ROME", "new york")),
    ("email", "email", "email", ("Foo <a@b.example>", "mailto:a@b.example", "a@b.example;", "<a@b.example>")),
)  # fmt: skip
STORED: tuple[tuple[str, str, str, str], ...] = (  # kind of doubt, field, stored value, what became of it
    ("zeros", "contact", "+49301234567", "49301234567"), ("zeros", "address_postal_code", "01067", "1067"),
    ("scientific", "contact", "4930123456789", "4,93012E+12"), ("encoding", "name", "Köln AG", "KÃ¶ln AG"),
    ("letters", "name", "Łódź AG", "?ód? AG"), ("escape", "name", "A & B", "A &amp; B"),
    ("decimal", "address_postal_code", "10678", "10678.0"), ("error", "name", "Acme", "#N/A"),
    ("boolean", "metadata.tier", "true", "WAHR"), ("date", "metadata.tier", "2024-03-01", "01.03.2024"),
    ("decimal", "metadata.tier", "0.5", "0,5"), ("grouped", "metadata.tier", "12345", "12.345"),
    ("rounded", "metadata.tier", "1234567890123456", "1234567890123450"),
    ("blank", "name", "Acme", "  "), ("formula", "contact", "0049", '="0049"'),
)  # fmt: skip
TWINS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (  # the existing id, and the new one
    (lambda n: f"00{n}", lambda n: n), (lambda n: n, lambda n: f"000{n}"),
    (lambda n: f"acct-{n}", lambda n: f"ACCT-{n}"),
    (lambda n: f"a-{n}", lambda n: f"a–{n}"), (lambda n: unicodedata.normalize("NFD", f"é{n}"), lambda n: f"é{n}"),
    (lambda n: f"z\u200b{n}", lambda n: f"z{n}"), (lambda n: f"b {n}", lambda n: f"b{n}"),
    (lambda n: f"q'{n}", lambda n: f"q’{n}"), (lambda n: f"K-0{n}", lambda n: f"K-{n}"),
    (lambda n: f"{n[0]}.{n[1:4]}.{n[4:]}", lambda n: n), (lambda n: f"w'{n}", lambda n: f"w´{n}"),
)  # fmt: skip


class Writer(Protocol):
    """Writes rows."""

    def row(self, cells: Cells) -> int:
        """Write a row; returns the line it begins on."""

    def close(self) -> None:
        """End the file."""


Plant = Callable[[Mess, Writer, Cells], None]


class _Writer:
    """Writes rows, and counts the physical lines in what it writes."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.line = 1
        self.row(HEADERS)

    def row(self, cells: Cells) -> int:
        """Write a row; returns the line it begins on."""
        text = ";".join(_cell(cells.get(name, "")) for name in HEADERS) + "\r\n"
        begins, self.line = self.line, self.line + text.count("\n")
        self.file.write(text.encode("cp1252"))
        return begins

    def close(self) -> None:
        """End the file."""
        self.file.close()


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ';"\n\r') else text


def write(path: Path, rows: int = 600, seed: int = 7, writer: Writer | None = None, more: Iterable[Plant] = ()) -> Mess:
    """Write a messy file.

    Args:
        path: where to.
        rows: how many, 450 at least, so that every kind has its place.
        seed: what everything follows from.
        writer: of another kind of file; without it CSV is written.
        more: what is planted besides, in rows of its own.

    Returns:
        What is in it.
    """
    chance = Random(seed)
    made, writer = Mess(path), writer or _Writer(path)
    plants = [*_once(), *(_again(chance, number) for number in range(rows // 5)), *more]
    assert len(plants) < rows // 1.5, "too few rows for every kind"
    chance.shuffle(plants)
    places = dict(zip(sorted(chance.sample(range(rows), len(plants))), plants, strict=True))
    for number in range(rows):
        cells = right(number, chance)
        plant = places.get(number)
        if plant is None and chance.random() < 0.1:
            made.existing.append({**cells, "name": f"Before {number}"})
        if plant is None:
            made.right[cells["external_id"]] = writer.row(cells)
        else:
            plant(made, writer, cells)
        made.rows += 1
    writer.close()
    return made


def _once() -> list[Plant]:
    """Every kind once, with each of its values."""
    plants: list[Plant] = [_value(kind, name, text) for kind, name, texts in VALUES for text in texts]
    plants += [_value("blank", name, " ") for name in ("name", "address_line1", "metadata.tier")]
    plants += [_value(kind, "external_id", text) for kind, texts in KEYS.items() for text in texts]
    plants += [_fault(rule, name, text) for rule, name, texts in FAULTS for text in texts]
    plants += [_fix(fix, rule, name, text) for fix, rule, name, texts in FIXES for text in texts]
    plants += [_stored(*one) for one in STORED]
    plants += [_twin(number) for number in range(len(TWINS))]
    return [*plants, _id_spaces, *_doubled("duplicate"), *_doubled("case")]


def _again(chance: Random, number: int) -> Plant:
    """One more of a kind that can stand in a file many times."""
    kind, name, texts = chance.choice([one for one in VALUES if one[2]])
    rule, at, values = chance.choice(FAULTS)
    again: list[Plant] = [
        _value(kind, name, chance.choice(texts)), _fault(rule, at, chance.choice(values)),
        _fix(*(one := chance.choice(FIXES))[:3], chance.choice(one[3])), _stored(*chance.choice(STORED)),
        _twin(100 + number), _id_spaces,
    ]  # fmt: skip
    return chance.choice(again)


def _value(kind: str, name: str, text: str) -> Plant:
    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        line = writer.row({**cells, name: text})
        made.doubts[line, kind] += 1
        if kind == "blank":  # which is also spaces around nothing
            made.advice[line, "id-spaces" if name == "external_id" else "trim"] += 1

    return plant


def _fault(rule: str, name: str, text: str) -> Plant:
    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        made.faults[writer.row({**cells, name: text}), rule] += 1

    return plant


def _fix(fix: str, rule: str, name: str, text: str) -> Plant:
    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        line = writer.row({**cells, name: text})
        made.advice[line, fix] += 1
        made.fixable.add(line)
        if rule:
            made.faults[line, rule] += 1

    return plant


def _stored(kind: str, name: str, before: str, after: str) -> Plant:
    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        made.existing.append({**cells, name: before})
        line = writer.row({**cells, name: after})
        made.doubts[line, kind] += 1
        if kind == "blank":
            made.advice[line, "trim"] += 1

    return plant


def _twin(number: int) -> Plant:
    before, after = TWINS[number % len(TWINS)]
    digits = str(5_000_000 + number)

    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        made.existing.append({"external_id": before(digits), "name": "Twin"})
        made.doubts[writer.row({**cells, "external_id": after(digits)}), "twin"] += 1

    return plant


def _id_spaces(made: Mess, writer: Writer, cells: Cells) -> None:
    line = writer.row({**cells, "external_id": f"{cells['external_id']} "})
    made.doubts[line, "spaces"] += 1
    made.advice[line, "id-spaces"] += 1


def _doubled(kind: str) -> list[Plant]:
    """Two rows with one key, and two whose keys differ by case: neither is in the account."""
    count = 0

    def plant(made: Mess, writer: Writer, cells: Cells) -> None:
        nonlocal count
        count += 1
        key = "same-1" if kind == "duplicate" or count == 1 else "SAME-2"
        line = writer.row({**cells, "external_id": "same-2" if kind == "case" and count == 1 else key})
        if kind == "duplicate":
            made.faults[line, "duplicate_key"] += 1
        else:
            made.doubts[line, "twin"] += 1

    return [plant, plant]
