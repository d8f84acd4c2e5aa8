"""A customer file with faults in known places, made from a seed: what a reader has to find, and what it must not.

`write(path, rows, faults, seed)` writes a CSV file whose headers, order of columns, line ends, blank lines and quoted
newlines follow from the seed, plants faults of every kind, and returns where each is. It knows nothing of
`connector`: lines are counted in the bytes that are written, rules and columns are said by whoever planted them. The
other rows are right, some of them just so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

# field -> the header under which it stands; some are mapped, some are the API's name written as people write it
HEADERS = {
    "external_id": "Kundennummer",
    "id": "id",
    "name": "Firma (lang)",
    "email": "Email",
    "contact": "contact",
    "address_line1": "Address-Line1",
    "address_line2": "address_line2",
    "address_city": "Address City",
    "address_state": "address_state",
    "address_postal_code": "PLZ",
    "address_country": "address_country",
    "timezone": "TimeZone",
    "metadata.tier": "metadata.tier",
    "metadata.gstin": "GST no.",
    "metadata.pan": "metadata.pan",
    "metadata.hsn_sac": "metadata.hsn_sac",
    "metadata": "metadata",
    "": "internal notes",
}
MAPPING = {
    "Kundennummer": "external_id",
    "Firma (lang)": "name",
    "PLZ": "address_postal_code",
    "GST no.": "metadata.gstin",
    "internal notes": "",
}
NAMES = (
    "Müller & Söhne",
    "用户数据 公司",
    "Ærøskøbing Færge",
    "Ωmega",
    "Łódź Spółka",
    "Smith, Jones & Co",
    'The "Best" Ltd',
)
PLACES = (("Köln", "NRW", "50667", "DE", "Europe/Berlin"), ("Pune", "MH", "411001", "IN", "Asia/Kolkata"))
GSTIN, PAN = "29ABCDE1234F1Z5", "ABCDE1234F"
Cells = dict[str, str]
Where = tuple[int, str, str]  # line, header, rule


@dataclass
class Planted:
    """A file and what is wrong in it.

    Attributes:
        path: the file.
        rows: how many, blank lines apart.
        blank: lines without a value.
        faults: (line, header, rule) of every fault.
        right: external_id → line of the rows without a fault.
        keys: line → external_id of the rows with one, where a cell says it.
        kinds: how often each kind of fault was planted.
    """

    path: Path
    rows: int = 0
    blank: int = 0
    faults: Counter[Where] = field(default_factory=Counter)
    right: dict[str, int] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> set[int]:
        """Lines on which rows with a fault begin."""
        return {line for line, _, _ in self.faults}


# --- rows that are right ------------------------------------------------------------------------------------------


def right(number: int, chance: Random) -> Cells:
    """A row without a fault."""
    city, state, code, country, zone = chance.choice(PLACES)
    cells = {
        "external_id": f"cust-{number:07d}",
        "name": f"{chance.choice(NAMES)} {number}",
        "email": f"billing+{number}@mail{number % 7}.example.com" if chance.random() < 0.9 else "",
        "contact": f"+49 221 {number}",
        "address_line1": f"Straße {number % 300}",
        "address_line2": chance.choice(("", "", "Floor 2\nleft", "Hof\r\n\r\nRampe 3")),
        "address_city": city,
        "address_state": state,
        "address_postal_code": code,
        "address_country": country,
        "timezone": zone,
        "metadata.tier": chance.choice(("gold", "silver", "", "\\N")),
        "": chance.choice(("", "call back", "\0", "x" * 300)),
    }
    if chance.random() < 0.1:
        chance.choice(CLOSE)(cells)
    return cells


def _set(**given: str) -> Callable[[Cells], None]:
    return lambda cells: cells.update({name.replace("__", "."): text for name, text in given.items()})


def _more(text: str) -> Callable[[Cells], None]:
    """A longer key, which is still nobody else's."""
    return lambda cells: cells.update(external_id=cells["external_id"] + text)


CLOSE: tuple[Callable[[Cells], None], ...] = (  # right, but only just
    _set(name="é" * 255),
    _set(name='=HYPERLINK("http://x.example";"y")'),
    _set(name=" "),
    _set(name="\\\\N"),
    _set(contact="+" + "1" * 19, address_postal_code="1" * 20),
    _set(address_line1="é" * 127 + "a", address_city="用" * 33 + "a"),
    _set(address_line1="a" * 255, address_line2="\\N", address_state="\\N", contact="\\N"),
    _set(email="用户@例子.公司", timezone="EST", address_country="XK"),
    _set(email="a" * 249 + "@b.com"),
    _set(metadata__gstin=GSTIN.lower(), metadata__pan=f" {PAN} "),
    _set(metadata__pan="\\N", metadata__hsn_sac="123456"),
    _set(metadata='{"a": "b", "c": null, "e": ""}'),
    _more("é" * 243),  # to 255
)

# --- faults -------------------------------------------------------------------------------------------------------

# kind -> what to write, and (field, rule) of each fault that this makes
SINGLE: dict[str, tuple[Callable[[Cells], None], tuple[tuple[str, str], ...]]] = {
    "no key": (_set(external_id=""), (("external_id", "required"),)),
    "key cleared": (_set(external_id="\\N"), (("external_id", "cannot_be_cleared_key"),)),
    "id cleared": (_set(id="\\N"), (("id", "cannot_be_cleared_key"),)),
    "long key": (_more("é" * 250), (("external_id", "too_long_key"),)),
    "name cleared": (_set(name="\\N"), (("name", "cannot_be_cleared"),)),
    "long name": (_set(name="用" * 256), (("name", "too_long"),)),
    "email": (_set(email="Acme <a@b.co>"), (("email", "email"),)),
    "email dots": (_set(email="a@b..co"), (("email", "email"),)),
    "email space": (_set(email="a@b.co "), (("email", "email"),)),
    "long email": (_set(email="a" * 250 + "@b.com"), (("email", "too_long"),)),
    "email cleared": (_set(email="\\N"), (("email", "cannot_be_cleared"),)),
    "long contact": (_set(contact="1" * 21), (("contact", "too_long"),)),
    "long line 1": (_set(address_line1="a" * 256), (("address_line1", "too_long"),)),
    "wide line 1": (_set(address_line1="é" * 128), (("address_line1", "too_many_bytes"),)),
    "wide line 2": (_set(address_line2="\n" + "用" * 85), (("address_line2", "too_many_bytes"),)),
    "wide city": (_set(address_city="é" * 51), (("address_city", "too_many_bytes"),)),
    "long state": (_set(address_state="a" * 101), (("address_state", "too_long"),)),
    "wide state": (_set(address_state="😀" * 26), (("address_state", "too_many_bytes"),)),
    "long code": (_set(address_postal_code="1" * 21), (("address_postal_code", "too_long"),)),
    "country": (_set(address_country="UK"), (("address_country", "country"),)),
    "small country": (_set(address_country="de"), (("address_country", "country"),)),
    "country cleared": (_set(address_country="\\N"), (("address_country", "cannot_be_cleared"),)),
    "zone": (_set(timezone="europe/berlin"), (("timezone", "timezone"),)),
    "zone cleared": (_set(timezone="\\N"), (("timezone", "cannot_be_cleared"),)),
    "gstin": (_set(metadata__gstin="29ABCDE1234F1X5"), (("metadata.gstin", "tax_key"),)),
    "pan": (_set(metadata__pan="ABCß1234F"), (("metadata.pan", "tax_key"),)),
    "pan of another": (_set(metadata__gstin=GSTIN, metadata__pan="ZZZZZ9999Z"), (("metadata.pan", "tax_key"),)),
    "hsn": (_set(metadata__hsn_sac="12345"), (("metadata.hsn_sac", "tax_key"),)),
    "no JSON": (_set(metadata='{"a": '), (("metadata", "metadata_json"),)),
    "JSON number": (_set(metadata='{"a": 1}'), (("metadata", "metadata_json"),)),
    "JSON list": (_set(metadata="[]"), (("metadata", "metadata_json"),)),
    "JSON nul": (_set(metadata=r'{"a": "\u0000"}'), (("metadata", "nul"),)),
    "nul": (_set(name="a\0b"), (("name", "nul"),)),
    "nul in a key": (_more("\0"), (("external_id", "nul"),)),
    "nul in JSON": (_set(metadata='{"a": "\0"}'), (("metadata", "nul"),)),
    "damaged": (_set(name="M\udcfcller"), (("name", "encoding"),)),
    "damaged email": (_set(email="m\udcfcller@b.co"), (("email", "encoding"),)),
    "damaged note": (_set(**{"": "\udce9"}), (("", "encoding"),)),
    "three": (
        _set(email="x", address_country="Germany", timezone="Berlin"),
        (("email", "email"), ("address_country", "country"), ("timezone", "timezone")),
    ),
    "every kind of cell": (
        _set(external_id="", name="\0", email="\\N", metadata="x", metadata__pan="x", address_city="\udcff"),
        (
            ("external_id", "required"), ("name", "nul"), ("email", "cannot_be_cleared"), ("metadata", "metadata_json"),
            ("metadata.pan", "tax_key"), ("address_city", "encoding"),
        ),
    ),
}  # fmt: skip
LINES = {  # kind -> what is done to the row's text; the whole line is at fault
    "too few cells": (lambda text, d: text[: text.rindex(d)], "ragged"),  # the last one is a zone
    "too many cells": (lambda text, d: f"{text}{d}x", "ragged"),
    "text after a quote": (lambda text, d: f'"quoted"x{d}{text}', "quotes"),
    "text after a quoted newline": (lambda text, d: f'"two\r\nlines" {d}{text}', "quotes"),
    "quotes not doubled": (lambda text, d: f'"The "Best" Ltd"{d}{text}', "quotes"),
}
TWICE = ("key twice", "key three times", "id twice")
LAST = "quote never closed"
KINDS = (*SINGLE, *LINES, *TWICE, LAST)


# --- the file -----------------------------------------------------------------------------------------------------


class _Writer:
    """Writes rows and counts the lines in what it writes."""

    def __init__(self, path: Path, delimiter: str, end: str, fields: list[str]) -> None:
        self.file = path.open("wb")
        self.delimiter, self.end, self.fields = delimiter, end, fields
        self.line = 1
        self.text(self.row({name: HEADERS[name] for name in fields}))

    def row(self, cells: Cells) -> str:
        return self.delimiter.join(self._cell(cells.get(name, "")) for name in self.fields)

    def _cell(self, text: str) -> str:
        plain = not any(c in text for c in (self.delimiter, '"', "\n", "\r"))
        return text if plain else '"' + text.replace('"', '""') + '"'

    def text(self, text: str) -> int:
        """Write a record; returns the line it begins on."""
        begins = self.line
        self.file.write((text + self.end).encode("utf-8", "surrogateescape"))
        self.line += (text + self.end).replace("\r\n", "\n").replace("\r", "\n").count("\n")
        return begins


def write(
    path: Path, rows: int = 50_000, faults: int = 1_000, seed: int = 7, *, delimiter: str = ",", end: str = "\n"
) -> Planted:
    """Write a file of so many rows with exactly so many faults, of every kind where there is room for them.

    Args:
        path: where to.
        rows: how many; four times the faults at least.
        faults: how many.
        seed: what everything else follows from.
        delimiter: one character.
        end: of a line.

    Returns:
        What was planted, and where.
    """
    chance = Random(seed)
    fields = list(HEADERS)
    chance.shuffle(fields)
    fields.append(fields.pop(fields.index("timezone")))  # never blank: rows lose their last cells to be ragged
    plan = dict(zip(chance.sample(range(rows - 1), faults), _kinds(faults, chance), strict=False))
    made, writer = Planted(path), _Writer(path, delimiter, end, fields)
    twice = _Twice(chance)
    for number in range(rows - 1):
        if chance.random() < 0.01:
            writer.text(chance.choice(("", delimiter * (len(fields) - 1))))
            made.blank += 1
        _plant(made, writer, right(number, chance), plan.get(number, ""), twice)
    _plant(made, writer, right(rows - 1, chance), LAST, twice)
    writer.file.close()
    made.rows = rows
    assert sum(made.faults.values()) == faults, "the kinds were not chosen to add up"
    return made


def _kinds(faults: int, chance: Random) -> Iterable[str]:
    """Kinds that make so many faults together with the last one, each kind first once, where there is room."""
    sizes = {**{kind: len(where) for kind, (_, where) in SINGLE.items()}, **dict.fromkeys(LINES, 1)}
    left = faults - 1
    kinds: list[str] = []
    for kind, times in {"key twice": 2, "key three times": 3, "id twice": 2}.items():
        for _ in range(max(1, faults // 100)):
            if left >= times:
                kinds += [kind] * times
                left -= times
    order = list(sizes)
    while left:
        kind = order[len(kinds) % len(order)] if left > max(sizes.values()) else "email"
        kinds.append(kind)
        left -= sizes[kind]
    chance.shuffle(kinds)
    return kinds


class _Twice:
    """Keys that are given to several rows."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.made = 0
        self.open: dict[str, tuple[str, int]] = {}

    def key(self, kind: str) -> str:
        text, left = self.open.get(kind, ("", 0))
        if not left:
            self.made += 1
            text, left = f"{kind} {self.made}", 3 if "three" in kind else 2
        self.open[kind] = (text, left - 1)
        return text


def _plant(made: Planted, writer: _Writer, cells: Cells, kind: str, twice: _Twice) -> None:
    where: Iterable[tuple[str, str]] = ()
    if kind in SINGLE:
        change, where = SINGLE[kind]
        for name in ("email", "metadata.gstin", "metadata.pan", "metadata.hsn_sac", "metadata", ""):
            cells.pop(name, None)  # what was just right must not make the fault another one
        change(cells)
    elif kind in TWICE:
        name = "id" if kind == "id twice" else "external_id"
        cells[name], where = twice.key(kind), ((name, "duplicate_key"),)
    text = writer.row(cells)
    if kind in LINES:
        change_line, rule = LINES[kind]
        begins = writer.text(change_line(text, writer.delimiter))
        made.faults[begins, "", rule] += 1
    elif kind == LAST:
        begins = writer.text(f'{text}{writer.delimiter}"never closed')
        made.faults[begins, "", "unclosed_quote"] += 1
    else:
        begins = writer.text(text)
        made.faults.update((begins, HEADERS[name], rule) for name, rule in where)
    if not kind:
        made.right[cells["external_id"]] = begins
        return
    made.kinds[kind] += 1
    made.keys[begins] = cells["external_id"]
