"""An import plan as one HTML page, which a person reads and searches before applying it.

Promised: the page is one file that asks for nothing from anywhere, and says what the plan says: counts, guards, each
row with its values before and after. Whatever stands in a cell is shown as text; characters that cannot be seen are
marked. What a spreadsheet would take for a formula gets a quote in front, set apart from the value.
Never done: running, loading or sending anything; deciding; leaving rows out without saying how many.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC
from hashlib import sha256
from html import escape
from typing import Any

from connector.push.apply.results import neutral
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Header

__all__ = ["MOST", "page"]

MOST = 50_000  # entries that are put into a page: more make browsers slow
KINDS = ("update", "create", "archive", "invalid", "conflict")
FIGURES = ("create", "update", "archive", "unchanged", "invalid", "conflict")
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2329; --soft: #5b6670; --line: #d9dee3; --faint: #f4f6f8;
  --before: #f8e9e6; --after: #e4f2e7; --mark: #8a5a00; --focus: #1f5fbf;
  --warn: #a33a12; --warn-paper: #fdf3ec;
  --create: #1c6b3a; --update: #1f5fbf; --archive: #a33a12; --invalid: #8a5a00; --conflict: #6b3fa0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15191d; --ink: #e3e7ea; --soft: #9aa5ae; --line: #333b42; --faint: #1e2429;
    --before: #43282a; --after: #1d3b2a; --mark: #e0b25c; --focus: #7fb0f5;
    --warn: #f0a27c; --warn-paper: #2c211b;
    --create: #7cc795; --update: #8ab6f3; --archive: #f0a27c; --invalid: #e0b25c; --conflict: #c3a2ec;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 2.5rem) 4rem; max-width: 96rem;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 .15rem; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; }
code, .value, .id { font: .92em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.soft { color: var(--soft); }

.figures { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.4rem 0; padding: 0; list-style: none; }
.figures li { flex: 1 1 auto; min-width: 6.5rem; padding: .5rem .8rem; border: 1px solid var(--line);
  border-radius: 6px; }
.figures strong { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.figures span { color: var(--soft); white-space: nowrap; }
.figures .none strong { color: var(--soft); font-weight: 400; }
.figures .total { background: var(--faint); }

.guards { margin: 1rem 0; padding: .8rem 1.1rem; border: 1px solid var(--warn); border-left-width: 6px;
  border-radius: 6px; background: var(--warn-paper); }
.guards h2 { margin: 0 0 .3rem; color: var(--warn); }
.guards ul { margin: .3rem 0 .6rem; padding-left: 1.2rem; }
.next { margin: 1rem 0; padding: .6rem 1.1rem; border-radius: 6px; background: var(--faint); }
.about { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.4rem; margin: 0; }
.about dt { color: var(--soft); }
.about dd { margin: 0; overflow-wrap: anywhere; }

.filter { display: flex; flex-wrap: wrap; align-items: end; gap: .6rem 1.6rem; margin-bottom: .6rem; }
.filter input[type=search] { display: block; width: min(26rem, 80vw); padding: .4rem .6rem; font: inherit;
  color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 6px; }
.filter fieldset { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0; padding: .4rem 0; border: 0; }
.filter legend { float: left; padding: 0; margin-right: 1.1rem; }
.filter legend, .filter label > span { color: var(--soft); }
.filter [type=checkbox] { accent-color: var(--focus); vertical-align: -1px; }

.rows { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .5rem .9rem .5rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; border-bottom-color: var(--soft); }
td.line { font-variant-numeric: tabular-nums; text-align: right; }
th.line { text-align: right; }
td.id { min-width: 8rem; max-width: 17rem; overflow-wrap: anywhere; }
td.details { width: 60%; min-width: 16rem; }
.kind { font-weight: 600; }
.create { color: var(--create); } .update { color: var(--update); } .archive { color: var(--archive); }
.invalid { color: var(--invalid); } .conflict { color: var(--conflict); }
.details dl { display: grid; grid-template-columns: 10rem 1fr; gap: .15rem 1rem; margin: 0; }
.details dt { color: var(--soft); overflow-wrap: anywhere; }
.details dd { margin: 0; min-width: 12rem; }
.details p { margin: 0; }
.details dl + p { margin-top: .25rem; }
.value { padding: 0 .3em; border-radius: 3px; background: var(--faint); white-space: break-spaces;
  overflow-wrap: anywhere; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
del, ins { text-decoration: none; }
del .value { background: var(--before); }
ins .value { background: var(--after); }
em { color: var(--soft); }
.arrow { color: var(--soft); padding: 0 .35em; }
.rule { color: var(--soft); }
.added { color: var(--mark); font-weight: 700; }
.mark { font-size: 0; unicode-bidi: isolate; }
.mark::before { content: attr(data-code); font-size: .85rem; color: var(--mark); }
#more { margin-top: 1rem; padding: .4rem 1rem; font: inherit; color: inherit; background: var(--faint);
  border: 1px solid var(--soft); border-radius: 6px; cursor: pointer; }
[hidden] { display: none !important; }

@media screen and (max-width: 50rem) {
  .about, .details dl { grid-template-columns: 1fr; }
  .about dt { margin-top: .3rem; }
}
@media print {
  @page { margin: 1.5cm; }
  :root { color-scheme: light; }
  body { padding: 0; max-width: none; font-size: 9pt; }
  td.details { min-width: 0; }
  .details dl { grid-template-columns: 8rem 1fr; }
  .filter, #more { display: none; }
  .rows { overflow: visible; }
  tr, .figures, .guards, .next { break-inside: avoid; }
  .value, .guards, .next, .figures .total { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

SCRIPT = r"""
"use strict";
const STEP = 500; // rows that are drawn at a time
const PAUSE = 120; // milliseconds without a key before the table follows
const JOINS = /(?<!\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)[\u200d\ufe0f]/u; // outside emoji
const BLANKS = /(?![\u200d\ufe0f])[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\p{Cs}\u2800]|(?! )\p{Zs}/u;
const UNSEEN = new RegExp([/^ +| +$/u, JOINS, BLANKS].map((part) => part.source).join("|"), "gu");
const SIGNS = { "\n": "\u23ce", "\r": "\u240d", "\t": "\u21e5" };
const at = (id) => document.getElementById(id);
const rows = JSON.parse(at("entries").textContent);
const boxes = [...document.querySelectorAll("input[name=do]")];
const texts = []; // of each row, what is searched; made when first needed
let found = rows;
let drawn = 0;

// --- what is shown; data becomes text nodes only ---

function make(tag, name, ...inside) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...inside);
  return node;
}

function mark(text) {
  const node = make("span", "mark", text);
  const code = text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  node.dataset.code = text[0] === " " ? "\u2423".repeat(text.length) : SIGNS[text] || `[U+${code}]`;
  node.title = text[0] === " " ? `${text.length} × space` : `U+${code}`;
  return node;
}

function marked(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    parts.push(text.slice(from, match.index), mark(match[0]));
    from = match.index + match[0].length;
  }
  return [...parts, text.slice(from)].filter((part) => part !== "");
}

// A text, null, or {added, text}: `added` keeps a spreadsheet from running it and is not in the plan.
function shown(value, name = "value", absent = "not set") {
  if (value === null) return make("em", "", absent);
  if (value === "") return make("em", "", "empty");
  const { added, text } = typeof value === "string" ? { added: "", text: value } : value;
  const node = make("bdi", name, ...marked(text));
  if (added) {
    const sign = make("span", "added", added);
    sign.title = "not part of the value: keeps spreadsheets from running it";
    node.prepend(sign);
  }
  return node;
}

function label(field, key) {
  return key === undefined ? make("dt", "", field) : make("dt", "", `${field}.`, shown(key, "key"));
}

function changed(row, [field, before, after, key]) {
  const dd = make("dd");
  if (row.do !== "create") dd.append(make("del", "", shown(before)), make("span", "arrow", "\u2192"));
  dd.append(make("ins", "", shown(after, "value", row.do === "create" ? "not set" : "removed")));
  return [label(field, key), dd];
}

function faulty([column, value, rule, remedy]) {
  const dt = make("dt", "", column === "" ? "whole row" : shown(column, "key"));
  return [dt, make("dd", "", shown(value), " ", shown(remedy, "prose"), " ", shown(rule, "rule"))];
}

function details(row) {
  const cell = make("td", "details");
  const changes = (row.changes || []).flatMap((change) => changed(row, change));
  const faults = (row.faults || []).flatMap(faulty);
  if (changes.length || faults.length) cell.append(make("dl", "", ...changes, ...faults));
  if (row.do === "archive") cell.append(make("p", "soft", "Archived for good: the API has no way back."));
  if (row.why) cell.append(make("p", "", shown(row.why, "prose")));
  for (const note of row.notes || []) cell.append(make("p", "soft", "Note: ", shown(note, "prose")));
  return cell;
}

function drawRow(row) {
  const line = make("td", "line", row.line ? String(row.line) : "\u2013");
  const ids = [row.external_id, row.id].map((id) => make("td", "id", id ? shown(id, "id") : "\u2013"));
  return make("tr", "", line, make("td", `kind ${row.do}`, row.do), ...ids, details(row));
}

function draw() {
  const fresh = found.slice(drawn, drawn + STEP).map(drawRow);
  at("body").append(...fresh);
  drawn += fresh.length;
  const match = found.length > drawn && found.length < rows.length ? `, ${found.length} match` : "";
  at("count").textContent = `${drawn} of ${rows.length} shown${match}`;
  at("more").hidden = found.length === drawn;
  at("more").textContent = `Show ${Math.min(STEP, found.length - drawn)} more`;
  return fresh[0];
}

// --- what is searched ---

function words(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(words).join("\n");
  return typeof value === "object" ? value.added + value.text : String(value);
}

function searched(n) {
  const { line, do: kind, external_id, id, changes = [], faults, why, notes } = rows[n];
  const named = changes.map(([field, before, after, key]) => [field + (key ? `.${words(key)}` : ""), before, after]);
  return (texts[n] ??= words([line, kind, external_id, id, named, faults, why, notes]).toLowerCase());
}

function filter() {
  const text = at("search").value.toLowerCase();
  const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  found = rows.filter((row, n) => kinds.has(row.do) && (text === "" || searched(n).includes(text)));
  at("body").replaceChildren();
  drawn = 0;
  draw();
}

// --- the view in the address: #q=text&do=update,create ---

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const kinds = asked.get("do");
  at("search").value = asked.get("q") ?? "";
  for (const box of boxes) box.checked = kinds === null || kinds.split(",").includes(box.value);
  filter();
}

function toAddress() {
  const parts = [];
  const kinds = boxes.filter((box) => box.checked).map((box) => box.value);
  if (at("search").value) parts.push(`q=${encodeURIComponent(at("search").value)}`);
  if (kinds.length < boxes.length) parts.push(`do=${kinds.join(",")}`);
  history.replaceState(null, "", `#${parts.join("&")}`);
}

let pause = 0;
at("filter").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => { filter(); toAddress(); }, PAUSE);
});
at("more").addEventListener("click", () => {
  const first = draw();
  if (!at("more").hidden || !first) return;
  first.tabIndex = -1; // the button is gone: the keyboard goes on at the first new row
  first.focus();
});
addEventListener("hashchange", fromAddress);
at("table").hidden = false;
fromAddress();
"""


def page(header: Header, digest: str, entries: Iterable[Entry], *, neutralise: bool = True) -> Iterator[str]:
    """Write the page of a plan.

    Args:
        header: of the plan.
        digest: of the plan, SHA-256 as hex.
        entries: of the plan; they are taken one by one, so a big plan is not held here.
        neutralise: put a quote in front of what a spreadsheet would take for a formula.

    Yields:
        Parts of one HTML document, in order; to be written as UTF-8.
    """
    yield _head(header)
    yield _summary(header)
    yield _about(header, digest)
    yield '<script type="application/json" id="entries">'
    left_out = yield from _data(entries, neutralise)
    yield "</script>\n"
    yield _table(header, left_out, neutralise)
    yield f"<script>{SCRIPT}</script>\n</body>\n</html>\n"


# --- the head ---------------------------------------------------------------------------------------------------


def _head(header: Header) -> str:
    title = _text(f"{_what(header)} {header.run}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
"""


def _policy() -> str:
    """Nothing may be loaded or run but this page's own style and script, and no text may become HTML."""
    script, style = (b64encode(sha256(text.encode()).digest()).decode() for text in (SCRIPT, STYLE))
    return (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _what(header: Header) -> str:
    return "Undo plan" if header.undoes else "Import plan"


def _text(value: Any) -> str:
    """Something of a person's as HTML text, whatever it holds."""
    return escape(str(value).encode("utf-8", "replace").decode())


# --- what the plan comes to -------------------------------------------------------------------------------------


def _summary(header: Header) -> str:
    made = f"{header.made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    undoes = f"<p>This plan takes back run <code>{_text(header.undoes)}</code>.</p>\n" if header.undoes else ""
    return (
        f"<header>\n<h1>{_what(header)}</h1>\n"
        f'<p class="soft">Run <code>{_text(header.run)}</code>, made {made}. Making it wrote nothing.</p>\n'
        f"{undoes}</header>\n<main>\n{_figures(header)}{_guards(header)}{_next(header)}"
    )


def _figures(header: Header) -> str:
    counts = header.counts
    cards = [_figure(name, counts.get(name, 0)) for name in FIGURES]
    cards.append(_figure("writes", counts.get("writes", 0), "total"))
    cards.append(_figure("existing customers", header.existing, "total"))
    renamed = counts.get("key_changes", 0)
    note = f'<p class="soft">Updates that change the external_id: {renamed}.</p>\n' if renamed else ""
    return f'<ul class="figures" aria-label="Counts">\n{"".join(cards)}</ul>\n{note}'


def _figure(name: str, count: int, kind: str = "") -> str:
    kind = kind if count else f"{kind} none".strip()
    return f'<li class="{kind}"><strong>{count:,}</strong> <span>{name}</span></li>\n'


def _guards(header: Header) -> str:
    asked = _asked(header)
    if not header.guards:
        return f"<p>No guard trips.{asked}</p>\n"
    texts = "".join(f"<li>{_text(guard.text)} <code>{_text(guard.name)}</code></li>\n" for guard in header.guards)
    count = len(header.guards)
    return (
        '<section class="guards" aria-labelledby="guards">\n'
        f'<h2 id="guards">{count} guard{"s trip" if count > 1 else " trips"}</h2>\n<ul>\n{texts}</ul>\n'
        f"<p>Read the rows below.{asked}</p>\n</section>\n"
    )


def _asked(header: Header) -> str:
    """What `apply` must be given: the writes where a guard trips, the archives always."""
    writes, archives = header.counts.get("writes", 0), header.counts.get("archive", 0)
    flags = [f"<code>--yes-really {writes}</code>"] if header.guards and writes else []
    flags += [f"<code>--yes-archive {archives}</code>"] if archives else []
    return f" <code>apply</code> will ask for {' and '.join(flags)}." if flags else ""


def _next(header: Header) -> str:
    if not header.counts.get("writes"):
        return '<p class="next">There is nothing to apply: the plan makes no writes.</p>\n'
    return (
        '<p class="next">Next: <code>flexsync import apply PLAN</code> '
        '<span class="soft">where PLAN is the file that this page shows.</span></p>\n'
    )


def _about(header: Header, digest: str) -> str:
    source = header.source
    name = "standard input" if source.name == "-" else _text(neutral(source.name))
    delimiter = {"\t": "tab", " ": "space"}.get(source.delimiter, source.delimiter)
    blank = f", and {source.blank:,} blank" if source.blank else ""
    facts = {
        "Account": f"<code>{_text(header.base_url)}</code>, {_environment(header)}",
        "File": f"<code>{name}</code>, {source.rows:,} rows{blank}",
        "Read as": f"{_text(source.encoding)}, delimiter <code>{_text(delimiter)}</code>",
        "SHA-256": f'<code title="{_text(source.sha256)}">{_text(source.sha256[:12])}</code>' if source.sha256 else "",
        "Options": ", ".join(_option(*option) for option in header.options.items()),
        "Digest of the plan": f"<code>sha256:{_text(digest)}</code>",
    }
    told = "".join(f"<dt>{name}</dt><dd>{fact}</dd>\n" for name, fact in facts.items() if fact)
    return f'<h2>Made from</h2>\n<dl class="about">\n{told}</dl>\n'


def _environment(header: Header) -> str:
    if header.environment_id:
        return f"environment <code>{_text(header.environment_id)}</code>"
    return "environment not known, for it has no customer"


def _option(name: str, value: Any) -> str:
    told = "not set" if value in (None, "") else {"True": "yes", "False": "no"}.get(str(value), str(value))
    return f"{_text(neutral(name))} <code>{_text(neutral(told))}</code>"


# --- the rows ---------------------------------------------------------------------------------------------------


def _data(entries: Iterable[Entry], neutralise: bool) -> Generator[str, None, int]:
    """The entries as JSON that no HTML parser takes for markup; the rest is counted and returned."""
    taken = left_out = 0
    for entry in entries:
        if entry.do == "unchanged":
            continue
        if taken == MOST:
            left_out += 1
            continue
        text = json.dumps(_row(entry, neutralise), separators=(",", ":"))  # ASCII: U+2028 and its kin are escaped
        yield ("," if taken else "[") + "\n" + text.translate(_IN_SCRIPT)
        taken += 1
    yield "\n]" if taken else "[]"
    return left_out


def _row(entry: Entry, neutralise: bool) -> dict[str, Any]:
    """What is shown of an entry; what is empty is left away."""
    changes = [change for name, (before, after) in entry.set.items() for change in _changes(name, before, after)]
    faults = [[fault.column, fault.value, fault.rule, fault.remedy] for fault in entry.faults]
    texts = {"external_id": entry.external_id, "id": entry.id, "changes": changes, "faults": faults}
    told = {**texts, "why": entry.why, "notes": [*entry.notes, *entry.doubts]}
    shown = {name: _shown(value, neutralise) for name, value in told.items() if value}
    return {"do": entry.do, **({"line": entry.line} if entry.line else {}), **shown}


def _changes(name: str, before: Any, after: Any) -> Iterator[list[Any]]:
    """Field, before, after; of metadata one for each key that differs, with the key at the end."""
    if name != "metadata":
        yield [name, before, after]
        return
    old, new = before or {}, after or {}
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if not keys:
        yield [name, before if before is None else "", after if after is None else ""]
    for key in keys:
        yield [name, old.get(key), new.get(key), key]


def _shown(value: Any, neutralise: bool) -> Any:
    """Texts as they are; those that a spreadsheet would run as an object that keeps the quote and the text apart."""
    if isinstance(value, list):
        return [_shown(item, neutralise) for item in value]
    if value is None:
        return None
    text = str(value)
    safe = neutral(text) if neutralise else text
    return text if safe == text else {"added": safe.removesuffix(text), "text": text}


def _table(header: Header, left_out: int, neutralise: bool) -> str:
    unit = _text(header.source.unit)
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("what is done", "external_id", "id", "details"))
    return f"""<h2 id="rows">Rows</h2>
<noscript><p>This table needs JavaScript. The plan file holds the same rows, one JSON object a line.</p></noscript>
{_left_out(left_out)}<div id="table" hidden>
{_filter(header)}{_quotes(neutralise)}<div class="rows" role="region" aria-labelledby="rows" tabindex="0">
<table>
<thead><tr><th scope="col" class="line">{unit}</th>{heads}</tr></thead>
<tbody id="body"></tbody>
</table>
</div>
<button type="button" id="more" hidden>Show more</button>
</div>
</main>
"""


def _left_out(count: int) -> str:
    if not count:
        return ""
    return (
        f"<p><strong>{count} more rows are not in this page, which holds {MOST}.</strong> The plan file has all.</p>\n"
    )


def _filter(header: Header) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" name="do" value="{kind}" checked autocomplete="off"> '
        f"{kind} <span>{header.counts.get(kind, 0):,}</span></label>\n"
        for kind in KINDS
    )
    return (
        '<div class="filter" id="filter" role="search">\n<label><span>Search in all text</span>'
        '<input type="search" id="search" autocomplete="off" spellcheck="false"></label>\n'
        f"<fieldset><legend>Show</legend>\n{boxes}</fieldset>\n</div>\n"
        '<p id="count" role="status"></p>\n'
    )


def _quotes(neutralise: bool) -> str:
    if not neutralise:
        return ""
    return (
        '<p class="soft">A coloured <span class="added">&#x27;</span> in front of a value is not part of it: '
        "it keeps spreadsheets from running what is copied. Characters that cannot be seen are marked.</p>\n"
    )
