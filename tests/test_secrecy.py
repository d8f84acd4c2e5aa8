"""The key is found nowhere: not in a file, a log, a message, a traceback or a report, even when the server repeats it.

A marker goes through every command as the key; then every byte that was written is searched for it.
"""

from __future__ import annotations

import base64
import re
import signal
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from command import BASE, PATIENCE, Done, command, environment, quick_retry, settings_for, start
from sizes import few, sampled

from connector.errors import FlexsyncError
from connector.sandbox import Sandbox
from connector.sandbox.replies import Reply
from connector.sandbox.routes.bodies import Params
from connector.sandbox.server.access import Key
from connector.settings import load
from connector.store.store import Store
from pipelines import jobs
from pipelines.progress import Progress
from pipelines.sync import Options

MARKER = "sk_01MARKERq7XzTELLTALEv93wKEY"
FORMS = (
    MARKER.encode(),
    MARKER[3:].encode(),
    base64.b64encode(MARKER.encode()).rstrip(b"="),
    MARKER.encode("utf-16-le"),
)
PUBLISH = ("--publish", "duckdb:out.duckdb", "--publish", "parquet:lake")


class Echo(Sandbox):
    """A server that repeats the key in its answers: `told` of (status, headers, body) instead of the real ones."""

    told: tuple[int, dict[str, str], str] | None = None
    only = ""
    added: tuple[bytes, bytes] = (b"", b"")  # in good answers: what stands there, and what shall stand there instead

    def reply(self, method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        found = super().reply(method, path, query, body, headers)
        if found.status == 200 and all(self.added):
            sent = headers.get("x-api-key", "").encode()
            found.body = found.body.replace(self.added[0], self.added[1].replace(b"KEY", sent), 1)
        if self.told is None or self.only not in path:
            return found
        status, more, text = self.told
        sent = headers.get("x-api-key", "")
        told = {name: value.replace("KEY", sent) for name, value in more.items()}
        return Reply(status, text.replace("KEY", sent).encode(), None, {**found.headers, **told})


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Echo, str]]:
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)
    sandbox = Echo(customers=30, seed=7, base_time=BASE, keys={MARKER: Key()})
    with sandbox.running() as base_url:
        yield sandbox, base_url


def clean(folder: Path, *done: Done) -> int:
    """No form of the marker in any byte below `folder`, in a file's name, or in what commands printed."""
    searched = 0
    for result in done:
        for text in (result.out.encode(), result.err.encode()):
            assert not [form for form in FORMS if form in text], text.decode()
    for path in folder.rglob("*"):
        assert MARKER not in path.name
        if path.is_file():
            data = path.read_bytes()
            assert not [form for form in FORMS if form in data], path
            searched += len(data)
    return searched


@pytest.mark.sampled
def test_a_whole_life_of_commands(echo: tuple[Echo, str], tmp_path: Path) -> None:
    """Sync, publish, status, doctor, verify, state and SQL leave and print no trace of the key."""
    env = environment(echo[1], key=MARKER)
    done = [
        command(*arguments, env=env, cwd=tmp_path)
        for arguments in (
            ("sync", "--json", "--log", "log.jsonl", *PUBLISH),
            ("sync", "--json", "--log", "log.jsonl", *PUBLISH),
            ("sync", "--full", *PUBLISH),
            ("sync", "--dry-run"),
            ("status", "--json"),
            ("status",),
            ("doctor", *PUBLISH),
            ("verify",),
            ("state", "show"),
            ("sql", "SELECT * FROM flexsync.certificates", "--format", "json"),
            ("sql", "SELECT * FROM flexsync.runs", "--on", "lake", "--format", "csv"),
            ("customers", "list"),
        )
    ]
    assert [result.code for result in done] == [0] * len(done), [result.err for result in done if result.code]
    assert (tmp_path / "log.jsonl").stat().st_size > 0
    assert clean(tmp_path, *done) > 100_000


def test_a_whole_life_of_import_commands(echo: tuple[Echo, str], tmp_path: Path) -> None:
    """Export, plan, page, apply, results, journal, store and undo leave and print no trace of the key."""
    env = environment(echo[1], key=MARKER)
    (tmp_path / "c.csv").write_text("external_id,name\nacct-0000001,Renamed\nnew-1,New\nnew-2,\n")
    run = ("import", "plan", "c.csv", "--onboarding", "skip")
    done = [command("import", "export", "--out", "all.csv", env=env, cwd=tmp_path)]
    done += [command(*run, "--html", "p.html", "--json", env=env, cwd=tmp_path)]
    apply = ("import", "apply", "c.plan", "--yes", "--json", "--store", "work.duckdb")
    done += [command(*apply, env=env, cwd=tmp_path)]
    done += [command("import", "undo", done[1].json["run"], "--json", env=env, cwd=tmp_path)]
    assert [result.code for result in done] == [0, 1, 0, 0], [result.err for result in done]
    assert clean(tmp_path, *done) > 50_000


def test_a_refusal_that_repeats_the_key_is_blotted_in_every_file(echo: tuple[Echo, str], tmp_path: Path) -> None:
    """A server that answers a create with the key leaves stars in journal, results and rejected.csv."""
    sandbox, base_url = echo
    env = environment(base_url, key=MARKER)
    (tmp_path / "c.csv").write_text("external_id,name\nnew-1,New\n")
    done = [command("import", "plan", "c.csv", "--onboarding", "skip", env=env, cwd=tmp_path)]
    sandbox.told, sandbox.only = (
        (400, {**JSON, "X-Request-Id": "KEY"}, '{"code":"KEY","message":"bad KEY"}'),
        "/customers",
    )
    before, sandbox.reply = sandbox.reply, only_writes(sandbox)  # type: ignore[method-assign]
    done += [command("import", "apply", "c.plan", "--yes", env=env, cwd=tmp_path)]
    sandbox.reply = before  # type: ignore[method-assign]
    assert done[1].code == 1
    assert "bad ***" in next(tmp_path.glob("c.*.results.csv")).read_text()
    assert clean(tmp_path, *done) > 1000


def only_writes(sandbox: Echo) -> Any:
    """Answer reads as they are, and creates as told."""
    told, plain = sandbox.reply, super(Echo, sandbox).reply

    def reply(method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        chosen = told if path.endswith("/customers") else plain
        return chosen(method, path, query, body, headers)

    return reply


JSON = {"Content-Type": "application/json"}
ANSWERS = {
    "401": (401, JSON, '{"error":"Unauthorized: KEY"}'),
    "403": (403, JSON, '{"error":"Access denied","message":"KEY may not"}'),
    "400": (400, JSON, '{"code":"KEY","message":"bad KEY","details":{"KEY":"KEY","list":["KEY",{"x":"KEY"}]}}'),
    "404": (404, JSON, '{"code":"not_found","message":"no KEY"}'),
    "404 text": (404, {"Content-Type": "text/plain"}, "404 page KEY not found"),
    "409": (409, JSON, '{"code":"already_exists","message":"KEY"}'),
    "418": (418, JSON, '"KEY"'),
    "429": (429, {**JSON, "Retry-After": "KEY"}, '{"message":"KEY"}'),
    "429 too long": (429, {**JSON, "Retry-After": "86400"}, '{"message":"KEY"}'),
    "500": (500, JSON, '{"success":false,"error":{"message":"KEY","internal_error":"KEY","details":{"a":"KEY"}}}'),
    "502 HTML": (502, {"Content-Type": "text/html"}, "<html><title>KEY</title>KEY</html>"),
    "503": (503, {**JSON, "X-Request-Id": "KEY"}, '{"code":"service_unavailable","message":"' + "x" * 290 + 'KEY"}'),
    "200 torn": (200, JSON, '{"items":[{"id":"KEY'),
    "200 text": (200, JSON, "hello KEY"),
    "302": (302, {"Location": "https://elsewhere.example/?key=KEY"}, ""),
    "308": (308, {"Location": "/KEY/"}, "KEY"),
}


@pytest.mark.parametrize(
    ("name", "only"),
    [
        *((name, "") if name in ("400", "401") else sampled(name, "") for name in ANSWERS),
        *(sampled(name, "usage") for name in ANSWERS),
    ],
)
def test_errors_that_repeat_the_key(echo: tuple[Echo, str], tmp_path: Path, name: str, only: str) -> None:
    """Whatever error carries the key back, it ends before it reaches a message, the store, a log or a publication."""
    sandbox, base_url = echo
    sandbox.told, sandbox.only = ANSWERS[name], only
    env = environment(base_url, key=MARKER)
    commands = [("sync", "--json", "--log", "log.jsonl", *PUBLISH), ("customers", "get", "cust_1")]
    if only == "":
        commands += [("doctor",), ("customers", "create", "--external-id", "a", "--name", "b")]
    done = [command(*arguments, env=env, cwd=tmp_path) for arguments in commands]
    assert done[0].code != 0, "the fault did not show"
    assert clean(tmp_path, *done) > 0


GOOD = {  # what stands where in a good answer: an answer of another kind, a field that no schema knows, a text
    "another answer": (b"{", b'{"message":"debug","headers":{"X-Api-Key":"KEY"},'),
    "a field of a page": (b'"items":[{', b'"items":[{"_request":{"headers":"KEY"},'),
    "a text": (b'"name":"', b'"name":"Bearer KEY '),
}


@pytest.mark.parametrize("name", few(GOOD, 0))
def test_good_answers_that_repeat_the_key(echo: tuple[Echo, str], tmp_path: Path, name: str) -> None:
    """A gateway that adds the request's headers to good answers brings the key into no store, publication or output."""
    sandbox, base_url = echo
    sandbox.added = GOOD[name]
    env = environment(base_url, key=MARKER)
    done = [command("sync", "--json", *PUBLISH, env=env, cwd=tmp_path)]
    done += [command(*words, env=env, cwd=tmp_path) for words in (("customers", "list"), ("verify",), ("doctor",))]
    assert "repeats the API key in its answers" in done[0].out
    assert "***" in done[1].out
    assert clean(tmp_path, *done) > 0


@pytest.mark.sampled
def test_a_broken_connection_and_a_host_that_is_not_there(tmp_path: Path) -> None:
    """Errors of the network hold no key, nor does the refusal of a bad address or of a key that cannot travel."""
    done = [
        command("sync", env=environment("http://127.0.0.1:9/v1", key=MARKER), cwd=tmp_path),
        command("sync", env=environment(f"http://u:{MARKER}@host/v1", key=MARKER), cwd=tmp_path),
        command("sync", env=environment("http://host.example/v1", key=MARKER), cwd=tmp_path),
        command("sync", env=environment("http://127.0.0.1:9/v1", key=MARKER + "\u00e9"), cwd=tmp_path),
        command("sync", env=environment("http://127.0.0.1:9/v1", key=MARKER + " x"), cwd=tmp_path),
    ]
    assert all(result.code in (2, 3) for result in done)
    clean(tmp_path, *done)


def test_a_key_that_was_put_into_a_file(tmp_path: Path) -> None:
    """A key in a config file, under any likely name, is refused without being repeated."""
    for number, line in enumerate(("key", "api_key", "key_env", "apikey", "token")):
        (tmp_path / "c.toml").write_text(f'[api]\n{line} = "{MARKER}"\n')
        done = command("status", "--config", "c.toml", env=environment(key=MARKER), cwd=tmp_path)
        (tmp_path / "c.toml").unlink()
        assert done.code == 2, number
        clean(tmp_path, done)


@pytest.mark.sampled
def test_a_crash_prints_no_key(echo: tuple[Echo, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours ends with 5 and a traceback, and even one with all local variables does not show the key."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(Store, "commit_answers", broken)
    done = command("sync", env=environment(echo[1], key=MARKER), cwd=tmp_path)
    assert done.code == 5
    assert "boom" in done.err
    assert "Traceback" in done.err
    settings = load(environ={}, base_url=echo[1], api_key=MARKER, store=tmp_path / "s.duckdb")
    with pytest.raises(ValueError) as caught:
        jobs.sync(settings, Options(), Progress())
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert MARKER not in strip_this_file("".join(frames.format()))
    clean(tmp_path, done)


def test_an_error_with_locals_prints_no_key(echo: tuple[Echo, str], tmp_path: Path) -> None:
    """The same for an error that the server caused."""
    sandbox, base_url = echo
    sandbox.told = (403, JSON, '{"error":"Access denied","message":"no"}')
    settings = load(environ={}, base_url=base_url, api_key=MARKER, store=tmp_path / "s.duckdb")
    with pytest.raises(FlexsyncError) as caught:
        jobs.sync(settings, Options(), Progress())
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert MARKER not in strip_this_file("".join(frames.format()))


def strip_this_file(text: str) -> str:
    """Without the frames of this file and of the fake server, whose own variables hold the marker."""
    return "".join(part for part in re.split(r'(?=  File ")', text) if "test_secrecy.py" not in part)


@pytest.mark.sampled
def test_a_killed_run_leaves_no_key_in_the_log_of_the_database(tmp_path: Path) -> None:
    """The store's write-ahead log of a run that was killed holds no key either."""
    sandbox = Echo(customers=60, seed=7, base_time=BASE, keys={MARKER: Key()})
    with sandbox.running() as base_url:
        process = start("sync", "--store", "s.duckdb", env=environment(base_url, key=MARKER), cwd=tmp_path)
        while sandbox.calls_total < 60:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert (tmp_path / "s.duckdb.wal").stat().st_size > 0
    assert clean(tmp_path, Done(process.returncode, out, err)) > 0


def test_settings_print_no_key(tmp_path: Path) -> None:
    """Settings that are printed, formatted or turned into text show a mask."""
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path / "s.duckdb")
    shown = load(environ={}, base_url="http://127.0.0.1:9/v1", api_key=MARKER)
    assert "***" in repr(shown)
    for text in (repr(shown), str(shown), f"{shown.api.key}", f"{shown!r}", repr(settings)):
        assert MARKER not in text


def test_no_cassette_holds_a_key() -> None:
    """Recorded exchanges hold no key, and its header only with a mask."""
    cassettes = [path for path in (Path(__file__).parent / "cassettes").rglob("*") if path.is_file()]
    masks: set[bytes] = set()
    for path in cassettes:
        data = path.read_bytes().lower()
        masks |= set(re.findall(rb"x-api-key\W*?\n\s*- *'?([^\s']*)", data))
        assert not re.search(rb"sk_[0-9a-z]{20}", data), path
        assert b"authorization" not in data, path
    assert masks == {b"***"}
