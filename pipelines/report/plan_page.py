"""A plan as one HTML page, to read and search before applying it.

The files in `templates/` hold its HTML, style and script; `plan_page_rows` makes its rows.

Promised: the page is one file that loads nothing, and shows what the plan holds: counts, guards, and each row with its
values before and after. Every value is shown as text, with invisible characters marked; a formula gets a quote in
front, set apart from the value. Rows that are left out are counted.
Never done here: deciding. Never done by the page: running or loading anything but its own script, sending anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import UTC
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from connector.files import atomic_write
from connector.push.apply.results import neutral
from connector.push.file.headers import Bound
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Header
from pipelines.import_customers import Planned
from pipelines.report.following import Following
from pipelines.report.fragments import Html, fill, join, read_template
from pipelines.report.plan_page_aside import NO_ASIDE, Aside, aside_of
from pipelines.report.plan_page_rows import rows_json
from pipelines.report.values import visible

__all__ = ["page", "write_page"]

KINDS = ("update", "create", "archive", "invalid", "conflict")
DOUBTED = ("held", "left_out")  # shown only where there are any
FIGURES = ("create", "update", "archive", "unchanged", "invalid", "conflict")
DELIMITERS = {"\t": "tab", " ": "space"}
WORDS = {None: "not set", "": "not set", True: "yes", False: "no"}  # for values of options

_fill = partial(fill, "plan.html")
NOTHING = Html("")


def write_page(path: Path, found: Planned, following: Following, *, neutralise: bool) -> None:
    """Write the page of a plan to a file, also where no row can be planned: then it shows why.

    Args:
        path: the file; it appears whole or not at all.
        found: the plan, or why there is none.
        following: the commands that can follow.
        neutralise: put a quote in front of what a spreadsheet would run as a formula.

    Raises:
        FixInput: the file cannot be written.
    """
    if (header := found.header) is None:
        return
    entries = found.plan.entries() if found.plan else found.refused
    digest = found.plan.digest if found.plan else ""
    with atomic_write(path) as file:
        for part in page(header, digest, entries, aside=aside_of(found, following), neutralise=neutralise):
            file.write(part.encode("utf-8"))


def page(
    header: Header, digest: str, entries: Iterable[Entry], *, aside: Aside = NO_ASIDE, neutralise: bool = True
) -> Iterator[str]:
    """The page of a plan.

    Args:
        header: of the plan; its run is "" where there is none.
        digest: of the plan, SHA-256 as hex.
        entries: of the plan; they are read one by one, so a large plan is never held in memory.
        aside: what else is to be said.
        neutralise: put a quote in front of what a spreadsheet would run as a formula.

    Yields:
        Parts of one HTML document, in order, to be written as UTF-8.
    """
    yield _top(header, digest, aside)
    left_out = yield from rows_json(entries, neutralise)
    yield _bottom(header, left_out + aside.unlisted, neutralise)


def _top(header: Header, digest: str, aside: Aside) -> Html:
    """Everything above the rows."""
    return _fill(
        "top",
        policy=_policy(),
        title="Undo plan" if header.undoes else "Import plan",
        run=header.run or f"of {Path(header.source.name).name}",
        head=_head(header),
        style=Html(read_template("plan.css")),
        undoes=_fill("undoes", run=header.undoes) if header.undoes else NOTHING,
        figures=_figures(header),
        key_changes=_key_changes(header),
        warnings=_warnings(aside),
        held=_held(header, aside),
        groups=_groups(header),
        guards=_guards(header) if header.run else NOTHING,
        next=_next(header, aside),
        facts=join(_facts(header, digest)),
    )


def _head(header: Header) -> Html:
    """Which run it is, or that there is no plan."""
    made = f"{header.made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if header.run:
        return _fill("head", run=header.run, made=made)
    why = "nothing of the run can be taken back" if header.undoes else "no row can be applied"
    return _fill("head_nothing", why=why, made=made)


def _policy() -> Html:
    """A policy that lets the page run its own style and script, load nothing, and turn no text into HTML."""
    texts = (read_template("plan.js"), read_template("plan.css"))
    script, style = (b64encode(sha256(text.encode()).digest()).decode() for text in texts)
    return Html(
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


# --- counts and guards ------------------------------------------------------------------------------------------


def _figures(header: Header) -> Html:
    figures = [_figure(name, header.counts.get(name, 0)) for name in FIGURES]
    figures += [_figure(name.replace("_", " "), header.counts[name], name) for name in _doubted(header)]
    figures.append(_figure("writes", header.counts.get("writes", 0), "total"))
    if header.run or header.existing:  # where no row can be planned, the account may not have been asked
        figures.append(_figure("existing customers", header.existing, "total"))
    return join(figures)


def _doubted(header: Header) -> list[str]:
    return [name for name in DOUBTED if header.counts.get(name)]


def _figure(name: str, count: int, kind: str = "") -> Html:
    return _fill("figure", kind=kind if count else f"{kind} none".strip(), count=f"{count:,}", name=name)


def _key_changes(header: Header) -> Html:
    count = header.counts.get("key_changes", 0)
    return _fill("key_changes", count=count) if count else NOTHING


def _warnings(aside: Aside) -> Html:
    if not aside.warnings:
        return NOTHING
    return _fill("warnings", warnings=join(_fill("warning", text=neutral(text)) for text in aside.warnings))


def _next(header: Header, aside: Aside) -> Html:
    """The command that follows, and what it asks for."""
    command, said = aside.next
    if command:
        return _fill("next_command", command=command, said=said)
    if not header.run:
        return NOTHING
    return _fill("next_apply" if header.counts.get("writes") else "next_nothing")


def _held(header: Header, aside: Aside) -> Html:
    """How many rows wait for a decision, why, and how it is given."""
    count = header.counts.get("held", 0)
    title = (
        f"{count:,} rows look like a mistake and are held" if count > 1 else "1 row looks like a mistake and is held"
    )
    if not count:
        return NOTHING
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in aside.kinds.items())
    doubts, command = aside.decide
    way = _fill("decide", doubts=doubts, command=command) if command else _fill("decide_somehow")
    return _fill("held", title=title, kinds=f"By kind of doubt: {kinds}. " if kinds else "", way=way)


def _guards(header: Header) -> Html:
    count = len(header.guards)
    if not count:
        return _fill("guards_passed", flags=_flags(header))
    guards = join(_fill("guard", text=visible(guard.text), name=guard.name) for guard in header.guards)
    title = f"{count} guard{'s trip' if count > 1 else ' trips'}"
    return _fill("guards_tripped", title=title, guards=guards, flags=_flags(header))


def _flags(header: Header) -> Html:
    """What `apply` asks for: the number of writes where a guard trips, and always the number of archives."""
    writes, archives = header.counts.get("writes", 0), header.counts.get("archive", 0)
    flags = [_fill("flag", name="--yes-really", what="writes")] if header.guards and writes else []
    flags += [_fill("flag", name="--yes-archive", what="archives")] if archives else []
    return _fill("flags", flags=join(flags, " and ")) if flags else NOTHING


def _groups(header: Header) -> Html:
    """The largest groups of like changes."""
    groups = join(_fill("group", text=visible(group.text)) for group in header.groups or ())
    return _fill("groups", groups=groups) if groups else NOTHING


# --- what the plan was made from --------------------------------------------------------------------------------


def _facts(header: Header, digest: str) -> Iterator[Html]:
    source = header.source
    if header.run or header.existing:
        yield _fill("account", base_url=header.base_url, environment=_environment(header))
    name = "standard input" if source.name == "-" else neutral(source.name)
    blank = f", and {source.blank:,} blank" if source.blank else ""
    yield _fill("file", name=name, rows=f"{source.rows:,}", blank=blank)
    if source.sheet:
        yield _fill("sheet", sheet=neutral(source.sheet))
    else:
        delimiter = DELIMITERS.get(source.delimiter, source.delimiter)
        yield _fill("read_as", encoding=source.encoding, delimiter=delimiter)
    if source.sha256:
        yield _fill("sha256", whole=source.sha256, start=source.sha256[:12])
    if header.columns:
        yield _fill("columns", columns=join((_column(one) for one in header.columns), ", "))
    if header.twins:
        yield _fill("twins", twins=header.twins)
    if header.options:
        yield _fill("options", options=join((_option(*option) for option in header.options.items()), ", "))
    if digest:
        yield _fill("digest", digest=digest)


def _column(one: Bound) -> Html:
    unknown = " (unknown)" if one.how == "unknown" else ""
    target = one.target or ("ignored" if one.how == "own" else f"left out{unknown}")
    return _fill("column", header=neutral(one.header), target=target)


def _environment(header: Header) -> Html | str:
    if not header.environment_id:
        return "environment not known, because it has no customer"
    return _fill("environment", id=header.environment_id)


def _option(name: str, value: Any) -> Html:
    text = WORDS[value] if value in (None, "") or isinstance(value, bool) else str(value)
    return _fill("option", name=neutral(name), value=neutral(text))


# --- below the rows ---------------------------------------------------------------------------------------------


def _bottom(header: Header, left_out: int, neutralise: bool) -> Html:
    """The table and its filter, drawn by the script."""
    counts = header.counts
    return _fill(
        "bottom",
        left_out=_left_out(header, left_out) if left_out else NOTHING,
        kinds=join(_kind(kind, counts.get(kind, 0)) for kind in (*KINDS, *_doubted(header))),
        quotes=_fill("quotes") if neutralise else NOTHING,
        unit=header.source.unit,
        script=Html(read_template("plan.js")),
    )


def _left_out(header: Header, count: int) -> Html:
    return _fill("left_out", count=count, all="The plan file has all." if header.run else "The rejected rows have all.")


def _kind(kind: str, count: int) -> Html:
    return _fill("kind", kind=kind, name=kind.replace("_", " "), count=f"{count:,}")
