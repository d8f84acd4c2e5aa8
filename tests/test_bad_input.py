"""What a person can get wrong ends as one message (thing, value, way out) and its exit code; nothing is lost.

Everything goes through the command, against a server on loopback.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
from command import COMMAND, Done, account, command, environment, flexsync, held, quick_retry, truth
from sizes import few, sampled

from connector.sandbox import Faults, Sandbox
from connector.tables.schemas import SCHEMA_VERSION


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account()
    with sandbox.running() as base_url:
        yield sandbox, base_url


@pytest.fixture(scope="module")
def copied(live: tuple[Sandbox, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a green run left; tests that would harm it take a copy."""
    folder = tmp_path_factory.mktemp("copied")
    done = command("sync", "--store", "good.duckdb", env=environment(live[1]), cwd=folder)
    assert done.code == 0, done.err
    return folder / "good.duckdb"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def says(done: Done, code: int, *texts: str) -> None:
    """The exit code, every text on stderr, no traceback, nothing on stdout."""
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for text in texts:
        assert text in done.err


# --- the key and the address -------------------------------------------------------------------------------------


def test_no_key(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """Without a key the message names the variable to set, and no call is made."""
    before = live[0].calls_total
    says(command("sync", env=environment(live[1], key=""), cwd=tmp_path), 2, "FLEXPRICE_API_KEY", "export", "demo")
    assert live[0].calls_total == before
    assert not (tmp_path / "flexsync.duckdb").exists()


@pytest.mark.parametrize(
    ("arguments", "more"),
    [(("sync",), ()), (("customers", "list"), ()), (("sync", "--dry-run"), ())],
    ids=["sync", "customers", "dry run"],
)
def test_wrong_key(
    live: tuple[Sandbox, str], tmp_path: Path, arguments: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """A key that the server does not know ends with 3, says so, and never shows the key."""
    done = command(*arguments, *more, env=environment(live[1], key="sk_wrong_wrong_wrong"), cwd=tmp_path)
    says(done, 3, "401", "Unauthorized", "Check the key", "base_url")
    assert "sk_wrong" not in done.err


@pytest.mark.sampled
def test_key_that_needs_an_environment(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A key bound to no environment is refused with 3 and a hint at the setting; with the setting the sync is green."""
    env = environment(live[1], key="config")
    says(command("sync", env=env, cwd=tmp_path), 3, "403", "environment", "environment_id")
    more = {**env, "FLEXPRICE_ENVIRONMENT_ID": live[0].environment_id}
    assert command("sync", env=more, cwd=tmp_path).code == 0


@pytest.mark.sampled
def test_read_only_key_cannot_write(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A key without the permission copies everything, and is refused with 3 when it writes."""
    env = environment(live[1], key="reader")
    assert command("sync", env=env, cwd=tmp_path).code == 0
    done = command("customers", "create", "--external-id", "x1", "--name", "X", env=env, cwd=tmp_path)
    says(done, 3, "403", "insufficient permissions")


@pytest.mark.sampled
def test_unreachable_host(tmp_path: Path) -> None:
    """A refused connection ends with 3 within seconds, names host and port, and leaves the state alone."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, not listening: connections are refused
        began = time.monotonic()
        done = command("sync", env=environment(f"http://127.0.0.1:{port}/v1"), cwd=tmp_path, seconds=30)
        assert time.monotonic() - began < 60
    says(done, 3, f"127.0.0.1:{port}", "base_url", "network")


@pytest.mark.parametrize("arguments", [("sync",), ("customers", "list"), ("doctor",), ("sync", "--dry-run")])
def test_plain_http_elsewhere_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Plain http to a host that is neither loopback nor allowed is refused before a name is looked up."""
    packets: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *a: packets.append(a))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: packets.append(a) or [])
    done = command(*arguments, env=environment("http://flexprice.example/v1"), cwd=tmp_path)
    says(done, 2, "flexprice.example", "unencrypted", "https", "allow_http")
    assert packets == []


@pytest.mark.parametrize(
    "url", ["localhost:8080/v1", "ftp://localhost/v1", "https://", "https://u:p@host/v1", "http://[::1/v1"]
)
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    """What is not an http(s) address is refused, and credentials in one are not repeated."""
    done = command("sync", "--base-url", url, env=environment(), cwd=tmp_path)
    says(done, 2, "base_url")
    assert "u:p" not in done.err


class _Strange(BaseHTTPRequestHandler):
    """Something that is not FlexPrice; remembers the headers it was sent."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("x-api-key")))
        status, headers, body = self.answer
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # the names are the library's

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def strange(status: int, headers: dict[str, str], body: bytes) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    seen: list[tuple[str, str | None]] = []
    kind = type("Handler", (_Strange,), {"answer": (status, headers, body), "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}/v1", seen
        served.shutdown()
        thread.join()


@pytest.mark.parametrize("status", few([301, 302, 307, 308]))
def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    """A server that redirects is not followed: 3, the target is named, and the key goes nowhere else."""
    with strange(200, {}, b"{}") as (elsewhere, seen_there):
        with strange(status, {"Location": f"{elsewhere}/customers/search"}, b"") as (base_url, seen):
            done = command("sync", env=environment(base_url), cwd=tmp_path)
        says(done, 3, "redirect", elsewhere, "the key was not sent there", "base_url")
        assert len(seen) == 1
        assert seen_there == []


FOREIGN = {
    "an HTML page": (b"<html><head><title>Welcome</title></head></html>", 3),
    "a JSON object without items": (b'{"hello":"world"}', 2),
    "rows without an id": (b'{"items":[{"name":"x"}],"pagination":{"total":1}}', 2),
    "a JSON list": (b"[1, 2]", 3),
    "an empty body": (b"", 3),
    "items of another kind": (b'{"items":"no","pagination":{"total":0}}', 2),
}


@pytest.mark.parametrize("name", few(FOREIGN, 3))
def test_an_address_that_is_not_flexprice(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that answers 200 with something else is not taken for an account, nor for a fault of ours."""
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)
    body, code = FOREIGN[name]
    with strange(200, {"Content-Type": "application/json"}, body) as (base_url, _):
        done = command("sync", env=environment(base_url), cwd=tmp_path)
    says(done, code, "customers")
    assert ("base_url" if code == 3 else f"base_url {base_url} is not the address of a FlexPrice API") in done.err


@pytest.mark.parametrize(
    "words", few([("customers", "list"), ("import", "export"), ("doctor",), ("sync", "--dry-run")], 2), ids=" ".join
)
def test_every_command_that_lists_refuses_such_an_address(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What answers JSON that is no page is no FlexPrice, whichever command asks: 2, as with a 404, and no output."""
    with strange(200, {"Content-Type": "application/json"}, b'{"hello":"world"}') as (base_url, seen):
        done = command(*words, env=environment(base_url), cwd=tmp_path)
    if words == ("doctor",):  # its report is on stdout
        done = Done(done.code, "", done.out)
    says(done, 2, f"base_url {base_url} is not the address of a FlexPrice API")
    assert len(seen) == 1


def test_a_base_url_without_v1(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A base URL that lacks its /v1 is wrong input: 2, with the URL and the server's 404, not an empty copy."""
    base_url = live[1].removesuffix("/v1")
    says(command("sync", env=environment(base_url), cwd=tmp_path), 2, f"base_url {base_url} ", "404", "/v1")


# --- settings ----------------------------------------------------------------------------------------------------


def test_unknown_setting_names_file_line_and_the_nearest(tmp_path: Path) -> None:
    """All faults of a file are told at once, each with its line and the nearest known name."""
    text = '[api]\nbase_url = "https://x.example/v1"\n\n[flow]\nmax_inflight = 3\ndeadline = "soon"\n\n[sinc]\nx = 1\n'
    (tmp_path / "c.toml").write_text(text)
    done = command("sync", "--config", "c.toml", env=environment(), cwd=tmp_path)
    says(
        done,
        2,
        "c.toml line 5",
        "max_inflight",
        '"max_in_flight"',
        "c.toml line 6",
        "soon",
        "90s",
        "c.toml line 8",
        '"sync"',
    )


def test_a_key_in_a_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    """A key written into the file is refused by its line, and the message does not repeat it."""
    (tmp_path / "c.toml").write_text('[api]\nkey = "sk_in_a_file"\n')
    done = command("sync", "--config", "c.toml", env=environment(), cwd=tmp_path)
    says(done, 2, "c.toml line 2", "FLEXPRICE_API_KEY")
    assert "sk_in_a_file" not in done.err


def test_unknown_profile(tmp_path: Path) -> None:
    """A profile that the file does not have names the nearest one."""
    (tmp_path / "c.toml").write_text('[profiles.india.api]\nbase_url = "https://x.example/v1"\n')
    done = command("status", "--config", "c.toml", "--profile", "indai", env=environment(), cwd=tmp_path)
    says(done, 2, "c.toml", "'indai'", '"india"')


@pytest.mark.parametrize(
    ("text", "said"), [("[api\n", "not TOML"), (None, "cannot be read"), ("[sync]\nstore = 5\n", "store = 5")]
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str | None, said: str) -> None:
    """A missing file, one that is not TOML, and a value of the wrong type are each named."""
    if text is not None:
        (tmp_path / "c.toml").write_text(text)
    says(command("sync", "--config", "c.toml", env=environment(), cwd=tmp_path), 2, "c.toml", said)


@pytest.mark.parametrize("value", ["5", "soon", "5x", "", "-5h", "infs", "1e400d", "nand", "9999999999d"])
@pytest.mark.parametrize("arguments", [("sync", "--deadline"), ("status", "--max-age")])
def test_bad_durations(tmp_path: Path, arguments: tuple[str, str], value: str) -> None:
    """What is not a length of time is refused with the value and with examples."""
    done = command(arguments[0], f"{arguments[1]}={value}", env=environment("http://127.0.0.1:1/v1"), cwd=tmp_path)
    says(done, 2, arguments[1], repr(value), "90s", "7d")


@pytest.mark.sampled
def test_flags_and_files_take_the_same_durations(live: tuple[Sandbox, str], tmp_path: Path, copied: Path) -> None:
    """A sum such as 1h30m is a length of time on the command line too."""
    done = command("status", "--store", copied, "--max-age", "1h30m", env=environment(live[1]), cwd=tmp_path)
    assert done.code == 0


def test_only_with_an_unknown_resource(tmp_path: Path) -> None:
    """An unknown resource is refused by name with the known ones, before any call."""
    done = command("sync", "--only", "usage,invoices", env=environment("http://127.0.0.1:1/v1"), cwd=tmp_path)
    says(done, 2, '"invoices"', "customers", "upcoming_grants")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("out.duckdb", "Write duckdb:out.duckdb."),
        ("csv:out", "duckdb:PATH"),
        ("duckdb:", "duckdb:PATH"),
        ("duckdb:no/such/folder/x.duckdb", "Make the folder"),
        ("duckdb:s.duckdb", "the working store itself"),
        ("duckdb:notes.csv", "not a DuckDB file"),
        ("duckdb:.", "is a folder"),
        ("parquet:notes.csv", "is a file"),
    ],
)
def test_a_bad_target_is_refused_before_the_run(
    live: tuple[Sandbox, str], tmp_path: Path, target: str, said: str
) -> None:
    """What cannot be published is said before the first call, not after the last."""
    (tmp_path / "notes.csv").write_text("my,notes\n1,2\n")
    before = live[0].calls_total
    done = command("sync", "--store", "s.duckdb", "--publish", target, env=environment(live[1]), cwd=tmp_path)
    says(done, 2, target.partition(":")[2][:8] or target, said)
    assert live[0].calls_total == before


def test_two_publications_in_one_place_are_refused_before_the_run(tmp_path: Path) -> None:
    """A file and a lake of one name, or one target twice."""
    for second in ("duckdb:out", "parquet:out"):
        given = ("--publish", "duckdb:out", "--publish", second)
        done = command("sync", "--store", "s.duckdb", *given, env=environment("http://127.0.0.1:1/v1"), cwd=tmp_path)
        says(done, 2, "two publications would stand at")


def test_a_column_that_cannot_be_excluded_is_refused_before_the_run(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A mistyped [privacy] column is refused before the first call."""
    (tmp_path / "c.toml").write_text('[privacy]\nexclude = ["customers.e_mail"]\n')
    before = live[0].calls_total
    done = command("sync", "--config", "c.toml", "--publish", "duckdb:o.duckdb", env=environment(live[1]), cwd=tmp_path)
    says(done, 2, "customers.e_mail")
    assert live[0].calls_total == before


# --- the store ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", few(["notes.csv", "notes.txt", "notes.json", "notes.parquet"]))
def test_a_store_that_is_not_duckdb(live: tuple[Sandbox, str], tmp_path: Path, name: str) -> None:
    """A file of another kind is refused by name and left as it was, also where DuckDB knows the kind by its name."""
    path = tmp_path / name
    path.write_text("my,notes\n" * 1000)
    before = digest(path)
    for arguments in (("sync",), ("status",), ("verify",), ("state", "reset", "--yes"), ("sql", "SELECT 1")):
        says(command(*arguments, "--store", path, env=environment(live[1]), cwd=tmp_path), 2, name)
    assert digest(path) == before


def test_a_store_that_is_not_ours(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A DuckDB file of somebody else's is refused by name, and its tables are all there afterwards."""
    path = tmp_path / "mine.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE customers AS SELECT 1 AS id")
    for arguments in (("sync",), ("status",), ("verify",)):
        says(command(*arguments, "--store", path, env=environment(live[1]), cwd=tmp_path), 2, "mine.duckdb")
    with duckdb.connect(str(path)) as db:
        assert db.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall() == [
            ("main", "customers")
        ]


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_a_store_from_a_newer_version(live: tuple[Sandbox, str], tmp_path: Path, copied: Path, version: int) -> None:
    """A store that a newer Flexsync made is refused with both versions and the way out; nothing in it changes."""
    path = tmp_path / "newer.duckdb"
    path.write_bytes(copied.read_bytes())
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE flexsync.meta SET value = $v WHERE key = 'schema_version'", {"v": str(version)})
    before = digest(path)
    for arguments in (("sync",), ("status",), ("sql", "SELECT 1")):
        done = command(*arguments, "--store", path, env=environment(live[1]), cwd=tmp_path)
        says(done, 2, "newer.duckdb", str(version), "pgrade Flexsync")
    assert digest(path) == before


def test_a_store_of_another_environment(tmp_path: Path, copied: Path) -> None:
    """A key of another environment is refused with both names, and not one row is mixed in."""
    path = tmp_path / "first.duckdb"
    path.write_bytes(copied.read_bytes())
    before = held(path)
    other = account(5)
    rename = "env_other"
    with strange_environment(other, rename) as base_url:
        done = command("sync", "--store", path, env=environment(base_url), cwd=tmp_path)
    says(done, 2, "first.duckdb", rename, "env_01J", "--store")
    assert held(path) == before


@contextmanager
def strange_environment(sandbox: Sandbox, name: str) -> Iterator[str]:
    """Serve an account whose rows say that they belong to environment `name`."""
    real = sandbox.reply

    def reply(*given: object) -> object:
        answer = real(*given)  # type: ignore[arg-type]
        answer.body = answer.body.replace(sandbox.environment_id.encode(), name.encode())
        return answer

    sandbox.reply = reply  # type: ignore[method-assign,assignment]
    with sandbox.running() as base_url:
        yield base_url


@pytest.mark.parametrize(
    "arguments", [("verify",), ("state", "reset", "--yes"), ("state", "set", "2026-01-01"), ("status",)]
)
def test_looking_at_a_store_that_is_not_there_makes_none(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Only a sync makes a store; everything else says that there is none."""
    done = command(*arguments, "--store", "no.duckdb", env=environment("http://127.0.0.1:1/v1"), cwd=tmp_path)
    says(done, 2, "no.duckdb", "does not exist", "flexsync sync")
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_a_folder_that_is_not_there(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A missing folder is named, and not made."""
    says(
        command("sync", "--store", "no/s.duckdb", env=environment(live[1]), cwd=tmp_path),
        2,
        "no does not exist",
        "--store",
    )


@pytest.mark.sampled
def test_a_second_run_is_turned_away(tmp_path: Path) -> None:
    """While a run is going, another one of the same store ends with 4 at once, and the first one is not disturbed."""
    sandbox = account(faults=Faults(latency=40))
    with sandbox.running() as base_url:
        env = environment(base_url)
        words = [*COMMAND, "sync", "--store", "s.duckdb"]
        first = subprocess.Popen(words, env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        while sandbox.calls_total < 10:
            time.sleep(0.02)
        for arguments in (("sync",), ("verify",), ("state", "reset", "--yes")):
            says(command(*arguments, "--store", "s.duckdb", env=env, cwd=tmp_path), 4, "s.duckdb")
        assert first.poll() is None, "the first run was over too soon to show anything"
        _, err = first.communicate(timeout=240)
    assert first.returncode == 0, err
    assert held(tmp_path / "s.duckdb") == truth(sandbox)


# --- a full disk ---------------------------------------------------------------------------------------------------


def _after_the_disk_was_full(done: Done, folder: Path, sandbox: Sandbox, base_url: str) -> None:
    says(done, 2, "s.duckdb", "full", "Free some space", "what was committed is kept")
    again = command("sync", "--store", folder / "s.duckdb", env=environment(base_url), cwd=folder)
    assert again.code == 0, again.err
    assert held(folder / "s.duckdb") == truth(sandbox)


@pytest.mark.sampled
@pytest.mark.parametrize("kilobytes", [sampled(40), 900])
def test_a_file_that_may_not_grow(live: tuple[Sandbox, str], tmp_path: Path, kilobytes: int) -> None:
    """When the store cannot grow any further the run ends with 2 and says why; a rerun with room ends green."""
    limited = f"""
        import resource, runpy, sys
        resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes * 1024}, resource.RLIM_INFINITY))
        sys.argv = ["flexsync", "sync", "--store", "s.duckdb"]
        runpy.run_module("pipelines.cli", run_name="__main__")
    """
    words = [sys.executable, "-c", textwrap.dedent(limited)]
    done = subprocess.run(
        words, env=environment(live[1]), cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    _after_the_disk_was_full(Done(done.returncode, done.stdout, done.stderr), tmp_path, *live)


@pytest.mark.parametrize("kilobytes", [sampled(20), sampled(1500)])
def test_a_disk_that_is_full(live: tuple[Sandbox, str], tmp_path: Path, kilobytes: int) -> None:
    """The same on a file system that really is full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk; the limit on file size shows the same")
    try:
        done = flexsync("sync", "--store", disk / "s.duckdb", env=environment(live[1]), cwd=tmp_path)
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        _after_the_disk_was_full(done, disk, *live)
    finally:
        os.sync()
        subprocess.run(["umount", str(disk)], check=True)


# --- SQL -----------------------------------------------------------------------------------------------------------

WRITES = [
    "INSERT INTO customers SELECT * FROM customers",
    "UPDATE customers SET name = 'x'",
    "DELETE FROM customers",
    "TRUNCATE customers",
    "DROP TABLE customers",
    "DROP SCHEMA flexsync CASCADE",
    "ALTER TABLE customers ADD COLUMN x INT",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE OR REPLACE TABLE customers AS SELECT 1 AS id",
    "COPY customers TO 'stolen.csv'",
    "COPY (SELECT 1) TO 'stolen.parquet'",
    "EXPORT DATABASE 'stolen'",
    "ATTACH 'other.duckdb'",
    "DETACH publication",
    "SET enable_external_access = true",
    "SET memory_limit = '1GB'",
    "RESET ALL",
    "PRAGMA memory_limit = '1GB'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT 1; DELETE FROM customers",
    "WITH x AS (SELECT 1) INSERT INTO customers SELECT * FROM customers",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('*')",
]


@pytest.mark.parametrize("query", WRITES)
def test_sql_that_writes_or_reaches_out_is_refused(tmp_path: Path, copied: Path, query: str) -> None:
    """SQL that would write, change settings or touch files ends with 2; the store's bytes and the folder stay."""
    before = digest(copied)
    done = command("sql", "--store", copied, query, env=environment(), cwd=tmp_path)
    says(done, 2, "error: ")
    assert digest(copied) == before
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in copied.parent.iterdir()) == ["good.duckdb", "good.duckdb.last.json"]


@pytest.mark.parametrize(
    ("query", "said", "remedy"),
    [
        ("SELECT * FROM custmers", "custmers", "upcoming_grants"),
        ("FROM customer_asof('2026-01-01')", "customer_asof", "customers_asof(valid, known)"),
        ("SELECT nme FROM customers", "nme", "customers has id, external_id, name"),
        ("SELEKT 1", "SELEKT", "SHOW TABLES"),
        ("SELECT 1/'a'::INT", "a", "SHOW TABLES"),
        ("SELECT (", "error", "SHOW TABLES"),
    ],
)
def test_bad_sql(tmp_path: Path, copied: Path, query: str, said: str, remedy: str) -> None:
    """A query that cannot be answered ends with 2, names what is wrong, and says what there is."""
    says(command("sql", "--store", copied, query, env=environment(), cwd=tmp_path), 2, said, remedy)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sql", "SELECT 1", "--format", "parquet"), "--output"),
        (("sql", "SELECT 1", "--output", "no/such/x.csv", "--format", "csv"), "no/such/x.csv"),
        (("sql", "SELECT 1", "--output", "no/such/x.parquet", "--format", "parquet"), "no/such/x.parquet"),
        (("sql", "SELECT 1", "--on", "no.duckdb"), "no.duckdb"),
        (("sql", "SELECT 1", "--format", "xml"), "xml"),
    ],
)
def test_answers_that_cannot_go_where_they_should(
    tmp_path: Path, copied: Path, arguments: tuple[str, ...], said: str
) -> None:
    """A missing or impossible place for the answer is named."""
    says(command(*arguments, "--store", copied, env=environment(), cwd=tmp_path), 2, said)


# --- the ten operations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("get",), 2, "--external-id"),
        (("get", "cust_1", "--external-id", "a"), 2, "either"),
        (("get", "cust_nobody"), 1, "cust_nobody"),
        (("get", "--external-id", "nobody"), 1, "nobody"),
        (("get", "--external-id", "no/body"), 1, "no/body"),
        (("list", "--limit", "0x"), 2, "0x"),
        (("list", "--limit", "1001"), 1, "1000"),
        (("search", "--filter", "nope"), 2, "JSON"),
        (("search", "--filter", "[1]"), 2, "JSON object"),
        (("search", "--body", "@missing.json"), 2, "missing.json"),
        (("search", "--metadata", "tier"), 2, "KEY=VALUE"),
        (("create", "--name", "no external id"), 1, "400"),
        (("create", "--body", "@missing.json"), 2, "missing.json"),
        (("update", "--name", "x"), 2, "id"),
        (("update", "cust_nobody", "--name", "x"), 1, "cust_nobody"),
        (("delete", "cust_nobody", "--yes"), 1, "cust_nobody"),
        (("usage",), 2, "customer"),
        (("grants", "cust_nobody"), 1, "cust_nobody"),
    ],
)
def test_operations_by_hand_say_what_is_wrong(
    live: tuple[Sandbox, str], tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """Each operation refuses what it cannot do with a message of its own, and changes nothing."""
    before = truth(live[0])["customers"]
    says(command("customers", *arguments, env=environment(live[1]), cwd=tmp_path), code, said)
    assert truth(live[0])["customers"] == before
