"""The page of an import plan shows the plan, whatever its cells hold, and runs nothing but its own script."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from sizes import examples, sampled

from connector.push.apply.results import neutral
from connector.push.file.advice import Advice
from connector.push.file.headers import Bound
from connector.push.file.rules import Fault
from connector.push.plan.entry import Entry
from connector.push.plan.groups import Group
from connector.push.plan.guards import Guard
from connector.push.plan.planfile import Header, Source
from pipelines.report.plan_page import page
from pipelines.report.plan_page_rows import MAX_ROWS

NAMES = () if "FAKETIME" in os.environ else ("chromium", "chromium-browser", "google-chrome")  # has clocks of its own
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium, chromium-browser or google-chrome")

DIGEST = "ab" * 32
ENTRIES = [
    Entry(
        "update",
        2,
        "acme-1",
        "cust_1",
        {
            "name": ("Acme", "Acme Ltd"),
            "metadata": ({"tier": "silver", "old": "x", "kept": "1"}, {"tier": "gold", "kept": "1"}),
        },
    ),
    Entry(
        "create",
        3,
        "globex-2",
        set={"external_id": (None, "globex-2"), "name": (None, "Globex")},
        notes=["A namesake."],
    ),
    Entry("archive", 0, "initech-3", "cust_3"),
    Entry(
        "invalid",
        5,
        "hooli-4",
        faults=[Fault(5, "Country", "usa", "country", "Write US."), Fault(5, "", "a;b", "cells", "Two.")],
    ),
    Entry("conflict", 6, "umbrella-5", "cust_5", why="external_id belongs to cust_6. Mend it."),
    Entry(
        "update",
        7,
        "a+b 100%",
        "cust_7",
        {"contact": (None, "5550100"), "address_line2": ("Floor 2", ""), "metadata": (None, {})},
    ),
]
HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "]]>&amp;&lt;b&gt;",
    '=HYPERLINK("http://x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+15550100",
    "-1",
    "\tx",
    "'single' \"double\" `back` \\back ${x}",
    "line\u2028and\u2029ends\r\nof\nkinds",
    "\u202egnp.exe\u202c שלום مرحبا",
    "👩\u200d💻 ❤\ufe0f zero\u200bwidth soft\u00adhyphen no\u00a0break",
    "  spaces  ",
    "\ufeff漢字 🜚 \u0007bell\x7f",
    "constructor",
    "__proto__",
]


def header(**given: Any) -> Header:
    counts = {"create": 1, "update": 694, "archive": 3, "unchanged": 1502, "invalid": 2, "conflict": 7, "writes": 698}
    said: dict[str, Any] = {
        "run": "20261101T120000Z-ab12cd",
        "made_at": datetime(2026, 11, 1, 12, tzinfo=UTC),
        "base_url": "https://api.example/v1",
        "environment_id": "env_1",
        "source": Source("november.csv", "9f86d081884c7d65" * 4, "utf-8-sig", ";", rows=1203, blank=2),
        "options": {"mode": "upsert", "match": "external_id", "archive_missing": True, "onboarding": None},
        "counts": counts,
        "existing": 1811,
        "guards": [],
    }
    return Header(**(said | given))


def html(entries: Sequence[Entry] = (), *, neutralise: bool = True, **given: Any) -> str:
    return "".join(page(header(**given), DIGEST, entries, neutralise=neutralise))


def data(text: str) -> tuple[str, Any]:
    """The data of a page, as it stands there and as JSON."""
    found = re.search(r'<script type="application/json" id="entries">(.*?)</script>', text, re.DOTALL)
    assert found
    return found[1], json.loads(found[1])


class Shown(HTMLParser):
    """What a document shows: text, title, count, tags, and the cells of each row."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: dict[str, str] = {}
        self.text = ""
        self._in: list[tuple[str, str]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        if tag not in ("meta", "input", "br", "img"):
            self._in.append((tag, dict(attrs).get("id") or tag))

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self._in]
        for _, name in self._in:
            self.texts[name] = self.texts.get(name, "") + data
        if "td" in inside:
            self.rows[-1][-1] += data
        if not {"script", "style"} & set(inside):
            self.text += data

    @property
    def body(self) -> list[list[str]]:
        return [row for row in self.rows if row]


def command(folder: Path, *flags: str) -> list[str]:
    assert BROWSER
    return [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags]


def opened(folder: Path, text: str, fragment: str = "") -> Shown:
    """The page as a browser shows it."""
    path = folder / "plan.html"
    path.write_text(text, encoding="utf-8", newline="\n")
    done = subprocess.run(
        command(folder, "--dump-dom", f"{path.as_uri()}{fragment}"), capture_output=True, timeout=60, check=True
    )
    return Shown(done.stdout.decode("utf-8"))


def squeezed(text: str) -> str:
    return " ".join(text.split())


# --- the head, without a browser ------------------------------------------------------------------------------


def test_the_head_summarizes_the_plan() -> None:
    """Counts, writes, existing customers, account, file, options and digest are in the page itself."""
    text = squeezed(Shown(html()).text)
    for part in (
        "Import plan",
        "Run 20261101T120000Z-ab12cd, made 2026-11-01 12:00:00 UTC. Planning changed nothing in the account.",
        "1 create 694 update 3 archive 1,502 unchanged 2 invalid 7 conflict 698 writes 1,811 existing customers",
        "https://api.example/v1, environment env_1",
        "november.csv, 1,203 rows, and 2 blank",
        "utf-8-sig, delimiter ;",
        "9f86d081884c ",
        "mode upsert, match external_id, archive_missing yes, onboarding not set",
        f"sha256:{DIGEST}",
        "No guard trips. apply will ask for the number of archives (--yes-archive).",
        "flexsync import apply PLAN",
    ):
        assert part in text


def test_guards_and_the_flags_for_apply_come_first() -> None:
    """Every guard has its text; archives need a flag, even where no guard trips; numbers are figures."""
    guards = [Guard("max_share", 0.38, 0.3, "697 of 1811 <would> change"), Guard("max_archives", 3, 0, "3 for good")]
    text = squeezed(Shown(html(guards=guards)).text)
    for part in ("2 guards trip", "697 of 1811 <would> change max_share", "3 for good max_archives"):
        assert text.index(part) < text.index("Rows")
    assert "apply will ask for the number of writes (--yes-really) and the number of archives (--yes-archive)." in text
    counts = header().counts | {"archive": 0, "writes": 695}
    text = squeezed(Shown(html(guards=guards[:1], counts=counts)).text)
    assert "1 guard trips" in text
    assert "apply will ask for the number of writes (--yes-really)." in text
    assert "--yes-" not in html(counts=counts)


def test_the_largest_groups_stand_above_the_rows() -> None:
    """Each group is a line of text, with what nobody sees in it marked; a plan of an older version has none."""
    groups = [Group("timezone", 1204, [], "UTC", "Europe/Berlin"), Group("name", 699, ["before", "after"], "A", "B"),
              Group("email", 12, ["before"], "o@x", "a\u200b<b>@x.example")]  # fmt: skip
    text = squeezed(Shown(html(groups=groups)).text)
    for part in ("1,204 customers: timezone UTC → Europe/Berlin 699 customers: name, different values, such as A → B",
                 '12 customers: email different values → "a\\u200b<b>@x.example", such as o@x'):  # fmt: skip
        assert 0 < text.index(part) < text.index("Rows")
    assert "like changes" in text
    assert "like changes" not in html(groups=UNSET)


def test_an_undo_names_the_run_that_it_reverses() -> None:
    """Title and head differ between an undo and an import."""
    shown = Shown(html(undoes="20261031T080000Z-000001"))
    assert shown.texts["title"].startswith("Undo plan ")
    assert "This plan reverses run 20261031T080000Z-000001." in squeezed(shown.text)


def test_a_plan_without_writes_has_no_next_command() -> None:
    """An account without a customer, standard input, and a plan without writes are described in words."""
    text = squeezed(Shown(html(environment_id="", source=Source("-", delimiter="\t"), counts={}, existing=0)).text)
    assert "nothing to apply" in text
    assert "import apply" not in text
    assert "environment not known" in text
    assert "standard input, 0 rows" in text
    assert "delimiter tab" in text


def test_a_hostile_head_is_text() -> None:
    """File names, options, guards and runs may hold anything, even surrogates, and stay text."""
    guards = [Guard("x", 1, 0, "x")]
    for evil in (*HOSTILE, "bad\udcff"):
        text = html(
            run=evil,
            undoes=evil,
            base_url=evil,
            environment_id=evil,
            source=Source(evil, evil, evil, evil, unit=evil),
            options={evil: evil, "list": [evil]},
            guards=[Guard(evil, 1, 0, evil)],
            groups=[Group(evil, 2, before=evil, after=evil)],
        )
        assert text.encode("utf-8")
        assert sorted(Shown(text).tags) == sorted(
            Shown(html(undoes="x", guards=guards, groups=[Group("x", 2)], options={"x": 1, "y": 2})).tags
        )
    assert "<code>&#x27;=1.csv</code>" in html(source=Source("=1.csv"))


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    """No address to load, no inline handler or style, and a policy with the hashes of exactly this script and style."""
    text = html(ENTRIES)
    assert not re.search(
        r"""(?:src|href|action|srcset|data)\s*=\s*["']?""", re.sub(r"<script.*?</script>", "", text, flags=re.S)
    )
    assert not re.search(r"url\(|@import|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
    assert not re.search(r"<[^>]*\s(?:on\w+|style)=", re.sub(r"<script.*?</script>", "", text, flags=re.S))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    told = dict(part.split(" ", 1) for part in policy[1].split("; "))
    for kind in ("script", "style"):
        (body,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert told[f"{kind}-src"] == f"'sha256-{b64encode(sha256(body.encode()).digest()).decode()}'"
    assert told["default-src"] == told["base-uri"] == told["form-action"] == "'none'"
    assert re.findall(r"<script\b[^>]*>", text) == ['<script type="application/json" id="entries">', "<script>"]


def test_without_javascript_the_page_says_so() -> None:
    """The table is hidden until the script runs, and a noscript names the plan file."""
    text = html(ENTRIES)
    assert re.search(r"<noscript><p>[^<]*needs JavaScript[^<]*plan file", text)
    assert '<div id="table" hidden>' in text
    assert '<html lang="en">' in text


def test_an_installation_contains_the_templates() -> None:
    """The package data in pyproject.toml covers every file of the templates' folder."""
    root = Path(__file__).parents[1]
    told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    packed = {path for pattern in told["pipelines"] for path in (root / "pipelines").glob(pattern)}
    templates = set((root / "pipelines" / "report" / "templates").rglob("*.*"))
    assert {path.suffix for path in templates} == {".html", ".css", ".js"}
    assert templates <= packed


def test_rows_that_are_held_are_told_on_top() -> None:
    """The page counts held and left out rows, says how to decide, and lists what became of each column."""
    counts = {**header().counts, "held": 1, "left_out": 1200}
    columns = [Bound("Telefon", "contact", "synonym"), Bound("=x", "", "unknown")]
    text = squeezed(Shown(html(counts=counts, columns=columns, twins="not compared: --no-twins")).text)
    assert "1 row looks like a mistake and is held" in text
    assert "1,200 left out" in text
    assert "Telefon → contact, '=x → left out (unknown)" in text
    assert "not compared: --no-twins" in text
    assert "mistake" not in Shown(html()).text


# --- the data, without a browser --------------------------------------------------------------------------------

texts = st.one_of(st.text(max_size=8), st.sampled_from(HOSTILE))
pairs = st.dictionaries(texts, texts, max_size=3)
values = st.one_of(st.none(), texts)
sets = st.builds(
    lambda fields, metadata: fields | ({"metadata": metadata} if metadata else {}),
    st.dictionaries(st.sampled_from(["name", "email", "external_id"]), st.tuples(values, values), max_size=2),
    st.one_of(st.none(), st.tuples(st.one_of(st.none(), pairs), pairs)),
)
entries = st.builds(
    Entry,
    do=st.sampled_from(["create", "update", "archive", "invalid", "conflict", "held", "left_out"]),
    line=st.integers(0, 10**9),
    external_id=texts,
    id=texts,
    set=sets,
    why=texts,
    notes=st.lists(texts, max_size=2),
    faults=st.lists(st.builds(Fault, st.just(1), texts, texts, texts, texts), max_size=2),
    raw=texts,
    doubts=st.lists(texts, max_size=2),
    decision=st.sampled_from(["", "yes", "no", "accepted"]),
    advice=st.lists(st.builds(Advice, st.just(1), texts, texts, texts, texts, texts, st.booleans()), max_size=2),
)


def told(entry: Entry) -> dict[str, Any]:
    """What the page has to show of an entry."""
    changes = [[name, *values] for name, values in entry.set.items() if name != "metadata"]
    if "metadata" in entry.set:
        before, after = (value or {} for value in entry.set["metadata"])
        differ = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        changes += [["metadata", before.get(key), after.get(key), key] for key in differ]
        changes += (
            [] if differ else [["metadata", *("" if value is not None else None for value in entry.set["metadata"])]]
        )
    faults = [[fault.column, fault.value, fault.rule, fault.remedy] for fault in entry.faults]
    taken = "taken" if entry.writes else "once written"
    all_told = {
        "do": entry.do,
        "line": entry.line,
        "external_id": entry.external_id,
        "id": entry.id,
        "changes": sorted(changes, key=repr),
        "faults": faults,
        "why": entry.why,
        "notes": entry.notes,
        "doubts": entry.doubts,
        "decision": entry.decision,
        "advice": [[a.column, a.said, a.better, a.fix, taken if a.taken else ""] for a in entry.advice],
    }
    return {name: value for name, value in all_told.items() if value}


def plain(value: Any, safe: bool) -> Any:
    """A value of the page without what was put in front; checks that it was put where it had to be."""
    if isinstance(value, list):
        return [plain(item, safe) for item in value]
    if isinstance(value, dict):
        assert safe
        assert value["added"]
        assert value["added"] + value["text"] == neutral(value["text"])
        return value["text"]
    assert not safe or not isinstance(value, str) or neutral(value) == value
    return value


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(entries, max_size=3), st.booleans())
def test_the_data_is_the_plan_whatever_the_text(planned: list[Entry], safe: bool) -> None:
    """The JSON of the page gives back every entry, cannot end its script, and runs in no spreadsheet."""
    raw, rows = data(html(planned, neutralise=safe))
    assert raw.isascii()
    assert not re.search("[<>&]", raw)
    found = [{name: plain(value, safe) for name, value in row.items()} for row in rows]
    for row in found:
        if "changes" in row:
            row["changes"].sort(key=repr)
    assert found == [told(entry) for entry in planned]


@pytest.mark.sampled
def test_a_big_plan_is_cut_and_the_page_says_by_how_much() -> None:
    """Entries beyond 50,000 are counted; unchanged ones are neither shown nor counted."""
    planned = (Entry("update", n + 1, f"a-{n}", f"c-{n}") for n in range(MAX_ROWS + 12))
    text = "".join(page(header(), DIGEST, (entry for one in planned for entry in (Entry("unchanged"), one))))
    assert len(data(text)[1]) == MAX_ROWS == 50_000
    assert "12 more rows are not in this page. The plan file has all." in Shown(text).text
    assert "more rows are not in" not in html(ENTRIES)


def test_entries_are_read_one_by_one() -> None:
    """The page is made in parts, and holds no list of entries."""
    taken = []

    def planned() -> Iterator[Entry]:
        for n in range(100):
            taken.append(n)
            yield Entry("archive", n, str(n))

    parts = page(header(), DIGEST, planned())
    assert next(parts).startswith("<!DOCTYPE html>")
    assert not taken
    before = sum(1 for part in parts if '"do"' in part and len(taken) < 50)
    assert before == 49


@pytest.mark.sampled
@browser
def test_doubts_and_advice_are_shown(tmp_path: Path) -> None:
    """A held row shows what would be written, its doubts, the decision, and what the file said."""
    advice = [
        Advice(9, "Land", "address_country", "de", "DE", "country", True),
        Advice(9, "Ort", "", " x", "x", "trim"),
    ]
    made = Entry("held", 9, "42", "", {"name": (None, "#N/A")}, doubts=["name is spoilt"], advice=advice)
    left = Entry("left_out", 10, "a", "c_1", {"name": ("A", "B")}, doubts=["d"], decision="no")
    counts = {**header().counts, "held": 1, "left_out": 1}
    first, second = opened(tmp_path, html([made, left], counts=counts)).body
    assert first[:2] == ["9", "held"]
    assert first[4] == (
        "name#N/ADoubt: name is spoilt"
        "Land: file said de, once written it is DEOrt: it means x (--fix trim), file said  x"
    )
    assert (second[1], second[4]) == ("left out", "nameA→BDoubt: dDecided: no")


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.mark.sampled
@browser
def test_every_kind_of_row_is_shown(tmp_path: Path) -> None:
    """Updates with before and after, metadata by key, creates, archives, faults and conflicts, in the plan's order."""
    shown = opened(tmp_path, html(ENTRIES))
    assert shown.texts["count"] == "6 of 6 shown"
    assert [row[:4] for row in shown.body] == [
        ["2", "update", "acme-1", "cust_1"],
        ["3", "create", "globex-2", "–"],
        ["–", "archive", "initech-3", "cust_3"],
        ["5", "invalid", "hooli-4", "–"],
        ["6", "conflict", "umbrella-5", "cust_5"],
        ["7", "update", "a+b 100%", "cust_7"],
    ]
    assert [row[4] for row in shown.body] == [
        "nameAcme→Acme Ltdmetadata.tiersilver→goldmetadata.oldx→removed",
        "external_idglobex-2nameGlobexNote: A namesake.",
        "Archived permanently: the API cannot undo it.",
        "Countryusa Write US. countrywhole rowa;b Two. cells",
        "external_id belongs to cust_6. Mend it.",
        "contactnot set→5550100address_line2Floor 2→emptymetadatanot set→empty",
    ]


@pytest.mark.sampled
@browser
@pytest.mark.parametrize(
    ("fragment", "lines"),
    [
        sampled("#q=ACME", "2"),
        sampled("#do=create,conflict", "36"),
        ("#do=update&q=metadata.tier", "2"),
        sampled("#q=a+b%20100%", "7"),
        sampled("#q=nothing%20like%20it", ""),
    ],
)
def test_the_address_chooses_the_rows(tmp_path: Path, fragment: str, lines: str) -> None:
    """A link shows only rows of its kinds that match its text; case does not count."""
    shown = opened(tmp_path, html(ENTRIES), fragment)
    assert [row[0] for row in shown.body] == list(lines)
    assert shown.texts["count"] == f"{len(lines)} of 6 shown"


@browser
@pytest.mark.parametrize("safe", [True, sampled(False)])
def test_hostile_cells_are_shown_and_nothing_runs(tmp_path: Path, safe: bool) -> None:
    """Markup, formulas, quotes and invisible characters are shown as text, in every place."""
    planned = [hostile(text) for text in HOSTILE]
    shown = opened(tmp_path, html(planned, neutralise=safe))
    assert shown.texts["title"] == "Import plan 20261101T120000Z-ab12cd"
    assert not {"img", "b", "iframe", "a"} & set(shown.tags)
    assert shown.tags.count("script") == 2
    for text, row in zip(HOSTILE, shown.body, strict=True):
        cell = neutral(text) if safe else text
        assert row[2:4] == [cell, cell]
        assert row[4] == f"name{cell}→{cell}metadata.{cell}not set→{cell}{cell}{cell} {cell} {cell}{cell}Note: {cell}"


def hostile(text: str) -> Entry:
    """An entry that has a text wherever it can have one."""
    pairs = {"name": (text, text), "metadata": ({}, {text: text})}
    return Entry("update", 1, text, text, pairs, "", text, [text], [Fault(1, text, text, text, text)])


@pytest.mark.sampled
@browser
def test_any_text_is_shown_as_it_is(tmp_path: Path) -> None:
    """Three hundred texts of unusual characters, from all planes, are shown unchanged."""
    chance = random.Random(11)
    odd = "<>&\"'`=+-@\\/ \t\r\n\x07\x7f\xa0\xad\u061c\u200b\u200d\u200e\u202e\u2028\u2066\u2800\u3000\ufe0f\ufeff"
    odd += "\U000e0001aZ9é漢👩"
    alphabet = [*odd, *(chr(chance.randrange(0x20, 0xD7FF)) for _ in range(40)), chr(0x10FFFF)]
    made = ["".join(chance.choices(alphabet, k=chance.randrange(1, 12))) for _ in range(300)]
    shown = opened(tmp_path, html([Entry("conflict", n + 1, text) for n, text in enumerate(made)]))
    assert [row[2] for row in shown.body] == [neutral(text) for text in made]


@pytest.mark.sampled
@browser
def test_many_rows_are_drawn_five_hundred_at_a_time(tmp_path: Path) -> None:
    """The page draws 500 of 2,000 rows, and says how many there are and how many match."""
    text = html([Entry("update", n + 1, f"a-{n}", f"c-{n}", {"name": ("x", f"n {n}")}) for n in range(2000)])
    shown = opened(tmp_path, text)
    assert len(shown.body) == 500
    assert (shown.texts["count"], shown.texts["more"]) == ("500 of 2000 shown", "Show 500 more")
    shown = opened(tmp_path, text, "#q=a-1")
    assert len(shown.body) == 500
    assert (shown.texts["count"], shown.texts["more"]) == ("500 of 2000 shown, 1111 match", "Show 500 more")


@pytest.mark.sampled
@browser
def test_typing_filters_and_the_address_follows(tmp_path: Path) -> None:
    """Typing searches, a box hides a kind, the button draws more rows, and the address holds the view."""
    path = tmp_path / "plan.html"
    path.write_text(html([Entry("update", n + 1, f"a-{n}") for n in range(1200)] + ENTRIES), encoding="utf-8")
    with driven(tmp_path, path.as_uri()) as call:
        assert until(call, "at('count').textContent", "500 of 1206 shown")
        run(call, "at('more').click()")
        assert until(call, "at('count').textContent", "1000 of 1206 shown")
        run(call, "at('more').click()")
        assert until(call, "at('count').textContent + document.activeElement.tagName", "1206 of 1206 shownTR")
        run(call, "at('search').focus()")
        call("Input.insertText", {"text": "e+Ü&=#%-3"})
        assert until(call, "location.hash", "#q=e%2B%C3%9C%26%3D%23%25-3")
        assert until(call, "at('count').textContent", "0 of 1206 shown")
        run(call, "at('search').select()")
        call("Input.insertText", {"text": "-3"})
        run(call, "boxes[0].click()")
        assert until(call, "location.hash", "#q=-3&do=create,archive,invalid,conflict")
        assert until(call, "at('count').textContent", "1 of 1206 shown")
        run(call, "location.hash = '#do=invalid'")
        assert until(call, "at('search').value + at('count').textContent", "1 of 1206 shown")


@contextmanager
def driven(folder: Path, address: str) -> Iterator[Any]:
    """A browser at an address, and calls to it over its debugging pipe (descriptors 3 and 4)."""
    reads, told_to = os.pipe()
    told_by, writes = os.pipe()
    become = f"import os, sys; os.dup2({reads}, 3); os.dup2({writes}, 4); os.execv(sys.argv[1], sys.argv[1:])"
    asked = [sys.executable, "-c", become, *command(folder, "--remote-debugging-pipe", address)]
    with subprocess.Popen(asked, pass_fds=(reads, writes), stderr=subprocess.DEVNULL) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        os.close(reads)
        os.close(writes)
        try:
            with os.fdopen(told_to, "wb", 0) as to, os.fdopen(told_by, "rb") as back:
                yield Caller(to, back)
            process.wait()  # it ends when the pipe is closed
        finally:
            process.kill()
            timer.cancel()


class Caller:
    """Calls of the DevTools protocol to the one page that is open."""

    def __init__(self, to: Any, back: Any) -> None:
        self._to, self._back, self._n, self._session = to, back, 0, ""
        targets = self("Target.getTargets", {})["targetInfos"]
        (target,) = [target["targetId"] for target in targets if target["type"] == "page"]
        self._session = self("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def __call__(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._n += 1
        asked = {"id": self._n, "method": method, "params": params}
        self._to.write(json.dumps(asked | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        while True:
            read = iter(lambda: self._back.read(1), b"\0")
            answer = json.loads(b"".join(byte or fail() for byte in read))
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


def fail() -> bytes:
    raise EOFError("the browser ended")


def run(call: Any, script: str) -> Any:
    return call("Runtime.evaluate", {"expression": script, "returnByValue": True})["result"].get("value")


def until(call: Any, script: str, wanted: str) -> bool:
    """Whether a script gives what is wanted within ten seconds."""
    found = None
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = run(call, script)
        if found == wanted:
            return True
        time.sleep(0.05)
    raise AssertionError(f"{script} is {found!r}, not {wanted!r}")
