"""What a terminal shows of text from outside: nothing in it controls the terminal, hides, or turns letters round."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from command import command, environment
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import account, table
from sizes import examples

from connector.errors import FixInput
from pipelines.cli.ending import exit_with
from pipelines.report.rows import write_csv, write_table
from pipelines.report.streams import write_message, write_report
from pipelines.report.values import one_line, visible

HIDDEN = (
    "\x00\x07\x1b\x7f\x85\x9b\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200d\u200e\u2028\u202e\u2060\u2066"
    "\u2800\u3000\u3164\ufe0f\ufeff\uffa0\U000e0041\U000e0101"
)


@pytest.mark.parametrize("letter", HIDDEN)
def test_what_nobody_sees_is_shown_by_its_number(letter: str) -> None:
    """Controls, marks of direction, fillers and spaces of other widths stand as escapes, in quotes."""
    shown = one_line(f"A{letter}B")
    assert shown.isascii()
    assert f"{ord(letter):04x}" in shown.lower()
    assert (shown[:2], shown[-2:]) == ('"A', 'B"')
    assert visible(f"A{letter}B\n\tC").endswith("B\n\tC")
    assert letter not in visible(f"A{letter}B")


@pytest.mark.parametrize("text", ["Müller & Söhne", "株式会社", "שלום", "مرحبا", "हिन्दी", "C:\\new", "a b", "😀", "é"])
def test_what_is_seen_stands_as_it_is(text: str) -> None:
    """Letters of every script, emoji and backslashes are shown as they are."""
    assert one_line(text) == visible(text) == text


def test_two_forms_of_an_accent_look_different() -> None:
    """é of one character and é of two are not the same value, and do not look the same."""
    assert (one_line("\u00e9"), one_line("e\u0301")) == ("é", '"e\\u0301"')


@settings(max_examples=examples(300), deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_whatever_is_shown_is_harmless_and_shown_twice_the_same(text: str) -> None:
    """Nothing but printable characters, line ends and tabs is left of any text; what is shown changes no more."""
    assert all(c.isprintable() or c in "\n\t" for c in visible(text))
    assert visible(visible(text)) == visible(text)
    assert one_line(text).isprintable()


def test_every_stream_for_people_is_cleaned_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Messages, reports, errors and tables are cleaned; CSV is the value itself."""
    odd = "a\x9b\u202eb"
    write_message(odd)
    write_report(odd)
    write_table(pa.table({"c": [odd]}))
    with pytest.raises(SystemExit):
        exit_with(FixInput(odd, remedy=odd), as_json=False)
    out, err = capsys.readouterr()
    assert (out + err).count("a\\u009b\\u202eb") == 5
    assert not {"\x9b", "\u202e"} & {*(out + err)}
    exact = io.StringIO()
    write_csv(pa.table({"c": [odd]}), exact)
    assert odd in exact.getvalue()


def test_a_plan_shows_what_is_sent(tmp_path: Path) -> None:
    """Values, ids, headers and doubts of a plan are cleaned on the terminal; the plan and --json hold them exactly."""
    rows = [
        {"external_id": "a", "name": "Acme\u202eelpmaxe"}, {"external_id": "k-1\ufe0f", "name": "x"},
        {"external_id": "k-1", "name": "y"}, {"external_id": "b\x9b", "name": "z"},
    ]  # fmt: skip
    (tmp_path / "c.csv").write_text(table(*rows).replace("name", "na\u00adme", 1))
    with account({"external_id": "a", "name": "Acme"}).running() as url:
        words = ("import", "plan", "c.csv", "--onboarding", "skip", "--map", "na\u00adme=name")
        done = command(*words, env=environment(url), cwd=tmp_path)
        told = command(*words, "--json", env=environment(url), cwd=tmp_path)
    for text in (done.out, done.err):
        assert all(c.isprintable() or c in "\n\t" for c in text), ascii(text)
    assert 'name Acme → "Acme\\u202eelpmaxe"' in done.out
    assert "k-1\\ufe0f" in done.out
    assert "\u202e" in (tmp_path / "c.plan").read_text()
    json.loads(told.out)
