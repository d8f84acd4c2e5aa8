"""Arbitrary bytes planned as a file of customers: refused or planned, never crashed on; no call without a right row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import planted
import pytest
from hypothesis import strategies as st
from importing import FULL, writes_of
from sizes import Size, sizes

from connector.errors import FixInput
from connector.push.file.record import quoted
from connector.push.file.row import Row
from connector.push.file.rows import read_rows
from connector.push.plan.planfile import Plan
from connector.sandbox import Sandbox
from connector.settings import Settings, load
from pipelines import import_customers as job
from pipelines.import_customers import Planned
from pipelines.report.import_json import plan_json
from pipelines.report.plan_summary import plan_summary


@dataclass
class Account:
    """A served account with a few customers, and a folder to plan in."""

    sandbox: Sandbox
    url: str
    folder: Path
    outcomes: dict[str, int] = field(default_factory=dict)
    made: dict[str, Settings] = field(default_factory=dict)

    def settings(self, given: dict[str, Any]) -> Settings:
        """Each is made once: that takes longer than to plan a small file."""
        if repr(given) not in self.made:
            self.made[repr(given)] = load(environ={}, base_url=self.url, api_key="sandbox", onboarding="skip", **given)
        return self.made[repr(given)]

    def plan(self, data: bytes, name: str = "customers", **given: Any) -> tuple[Planned | FixInput, int]:
        """What a file comes to, and how many calls that took. Anything but a plan or `FixInput` is raised."""
        before = self.sandbox.calls_total
        options = self.settings(given)
        path = self.folder / f"{name}.csv"
        path.write_bytes(data)
        found: Planned | FixInput
        try:
            found = job.plan(options, path, self.folder / f"{name}.plan")
        except FixInput as refusal:
            found = refusal
        return found, self.sandbox.calls_total - before


@pytest.fixture(scope="module")
def served() -> Iterator[Account]:
    sandbox = Sandbox(customers=0)
    for key in ("a", "b", "1", "é"):
        sandbox.create_customer(external_id=key, email="a@b", metadata={"tier": "gold"})
    with tempfile.TemporaryDirectory() as folder, sandbox.running() as url, pytest.MonkeyPatch.context() as patched:
        patched.delenv("SSL_CERT_FILE", raising=False)
        patched.setenv("SSL_CERT_DIR", folder)  # reading the usual certificates, of no use here, takes 40 ms a plan
        account = Account(sandbox, url, Path(folder))
        yield account
        print(f" {account.outcomes}", end="")


def judged(served: Account, data: bytes, **given: Any) -> Planned | FixInput:
    """Plan the file, and see that what came of it is whole: nothing written, no call without a right row, all told."""
    found, calls = served.plan(data, **given)
    assert writes_of(served.sandbox) == 0
    if isinstance(found, FixInput):
        kind = "refused"
        assert calls == 0
        assert found.remedy
        str(found).encode()  # can be printed
    else:
        assert found.checked is not None
        kind = "planned" if found.plan else "looked up" if calls else "invalid"
        assert (calls > 0) == (found.checked.usable > 0)
        counts = found.counts.plain()
        assert sum(counts.get(kind, 0) for kind in (*job.KINDS, "held", "left_out")) == found.checked.rows
        plan_summary(found).encode()
        assert plan_json(found)
        if found.plan:
            Plan.read(found.plan.path)
        again(served, found, given)
    served.outcomes[kind] = served.outcomes.get(kind, 0) + 1
    return found


def again(served: Account, found: Planned, given: dict[str, Any]) -> None:
    """The rejected rows can be read as they are, and are as many."""
    assert found.rejected is not None
    path, count = found.rejected
    assert path.exists() == bool(count)
    if not count:
        return
    source = found.source
    more = {name: given[name] for name in ("mapping", "match") if name in given}
    with read_rows(path, encoding=source.encoding, delimiter=source.delimiter, **more) as rows:
        assert sum(1 for _ in rows) == count


# --- files --------------------------------------------------------------------------------------------------------

GOOD = {
    "external_id": ["a", "b", "1", "é", "new", "用户", " ", "=1+1", "\\\\N"],
    "name": ["N", "Müller & Söhne", "two\nlines", 'The "Best"', "a,b;c", "x" * 255],
    "email": ["a@b", "a@b.co", "用户@例子.公司"],
    "contact": [FULL["contact"], "\\N"],
    "address_country": ["DE", "XK"],
    "timezone": ["UTC", "Europe/Berlin"],
    "metadata.tier": ["gold", "\\N"],
    "metadata": ["{}", '{"tier": "gold"}', '{"a": null}'],
    "id": [""],
}
STRANGE = [
    "",
    "\0",
    "\\N",
    '"',
    "\r",
    "x" * 300,
    "[1]",
    "uk",
    "a@b@c",
    "ABCDE1234F",
    "\u2028",
    "\ufeff",
    "😀",
    "external_id",
    "sep=;",
]
NAMES = [*GOOD, "External ID", "metadata.pan", "metadata.", "nmae", ""]
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"])
ENCODINGS = st.sampled_from(
    ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "cp932"]
)
BITS = st.sampled_from(
    [b"\0", b'"', b"\n", b"\r", b"\xff", b"\xc3", b"\xed\xa0\x80", b",", b";", b"\xef\xbb\xbf", b"\\N", b"\x1a"]
)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Something like a table: a header, rows, one line end, an encoding, then a few bytes put in or taken out."""
    others = draw(
        st.lists(st.sampled_from(list(GOOD)[1:] if draw(st.integers(0, 5)) else NAMES), unique=True, max_size=5)
    )
    names = draw(st.permutations(["external_id", *others]))
    delimiter, end = draw(st.sampled_from(",,;\t|")), draw(ENDS)
    text = draw(st.sampled_from(["", "", "", "", f"sep={delimiter}{end}", end])) + quoted(names, delimiter, end)
    for _ in range(draw(st.integers(0, 6))):
        pools = [GOOD.get(name, STRANGE) if draw(st.integers(0, 7)) else STRANGE for name in names]
        cells = [draw(st.sampled_from(pool)) for pool in pools]
        text += quoted(cells, delimiter, end) if draw(st.integers(0, 9)) else delimiter.join(cells) + end
    text = text.removesuffix(end) if draw(st.booleans()) else text
    data = bytearray(text.encode(draw(ENCODINGS), "replace"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 5]))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 1))] = draw(BITS | st.binary(min_size=1, max_size=3))
    return bytes(data)


LETTERS = st.lists(
    st.sampled_from(
        [b"external_id", b"name", b",", b";", b"\t", b"|", b'"', b"\n", b"\r", b"\0", b"a", b"b", b"\xe9", b"\\N"]
    )
)
BYTES = st.binary(max_size=200) | LETTERS.map(b"".join)
BEHIND_A_HEADER = st.binary(max_size=100).map(b"external_id,name\n".__add__)
GIVEN: dict[str, st.SearchStrategy[Any]] = {
    "encoding": st.sampled_from(
        ["", "", "", "utf-8", "cp1252", "utf-16", "utf-32", "cp932", "gb18030", "utf-7", "none"]
    ),
    "delimiter": st.sampled_from(["", "", "", ",", ";", "tab", "\\N", "a", " "]),
    "mode": st.sampled_from(["upsert", "create", "update"]),
    "match": st.sampled_from(["external_id", "id"]),
    "metadata": st.sampled_from(["merge", "replace"]),
}
OPTIONS = st.fixed_dictionaries({}, optional=GIVEN)


@sizes(default=70, sampled=600, thorough=4000)
def test_any_bytes(served: Account, size: Size) -> None:
    """Arbitrary bytes are refused or planned; without a header they are refused, and no call is made."""

    def check(data: bytes) -> None:
        found = judged(served, data)
        if b"external" not in data.replace(b"\0", b"").lower():
            assert isinstance(found, FixInput)

    size.examples(check, BYTES)


@sizes(default=70, sampled=700, thorough=6000)
def test_anything_like_a_table(served: Account, size: Size) -> None:
    """Damaged tables in any encoding are refused or planned, and a call is made only where a row is right."""

    def check(data: bytes) -> None:
        judged(served, data)

    size.examples(check, tables() | BEHIND_A_HEADER)


@sizes(default=40, sampled=500, thorough=6000)
def test_anything_under_any_options(served: Account, size: Size) -> None:
    """So they are when encoding, delimiter, mode and match are said, rightly or not."""

    def check(data: bytes, options: dict[str, Any]) -> None:
        judged(served, data, **options)

    size.examples(check, tables() | BEHIND_A_HEADER | BYTES, OPTIONS)


# --- files with nothing valid in them -----------------------------------------------------------------------------

WRONG = {**planted.SINGLE, **planted.LINES}


@st.composite
def nothing_valid(draw: st.DrawFn) -> bytes:
    """A file of which every row has a fault that was planted."""
    chance = Random(draw(st.integers(0, 2**32)))
    names = list(planted.HEADERS)
    delimiter, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = quoted([planted.HEADERS[name] for name in names], delimiter, end)
    for number, kind in enumerate(draw(st.lists(st.sampled_from(sorted(WRONG)), min_size=1, max_size=8))):
        cells = planted.right(number, chance)
        if kind in planted.SINGLE:
            for name in ("email", "metadata.gstin", "metadata.pan", "metadata.hsn_sac", "metadata", ""):
                cells.pop(name, None)
            planted.SINGLE[kind][0](cells)
        line = quoted([cells.get(name, "") for name in names], delimiter, "")
        text += (planted.LINES[kind][0](line, delimiter) if kind in planted.LINES else line) + end
    return text.encode("utf-8", "surrogateescape")


@sizes(default=40, sampled=250, thorough=2000)
def test_a_file_with_nothing_valid_costs_no_call(served: Account, size: Size) -> None:
    """A file whose every row has a fault is told with all of them, without a plan and without one call."""

    def check(data: bytes) -> None:
        found = judged(served, data, mapping=planted.MAPPING)
        assert isinstance(found, Planned)
        assert found.plan is None
        assert found.exit_code == 2
        assert found.calls == {}
        assert found.counts.invalid == found.checked.rows > 0  # type: ignore[union-attr]
        assert all(entry.faults for entry in found.refused)

    size.examples(check, nothing_valid())


def test_a_row_is_a_row_again() -> None:
    """The faults that a fuzzed row has are those of the row as it is read again from its own text."""
    text = 'external_id,name,email\na,"A"B,x\n"b\n",B,x\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.csv"
        path.write_text(text)
        with read_rows(path) as rows:
            found = list(rows)
        for row in found:
            path.write_text("external_id,name,email\n" + row.raw)
            with read_rows(path) as rows:
                (same,) = rows
            assert said(same) == said(row)


def said(row: Row) -> tuple[Any, ...]:
    return row.raw, row.external_id, row.fields, [(fault.column, fault.rule) for fault in row.faults]
