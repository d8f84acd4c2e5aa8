"""Every command of `flexsync --help` does what its help says, against a server on loopback.

stdout holds only data, stderr only messages, and the exit code says how the command ended.
"""

from __future__ import annotations

import csv
import io
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import duckdb
import httpx
import pytest
from command import COMMAND, PATIENCE, Done, account, ask, command, environment, flexsync, held, start, tables, truth
from pyarrow import parquet
from sizes import few, sampled

from connector.errors import FixInput
from connector.sandbox import Faults, Sandbox
from pipelines.cli.main import cli
from pipelines.demo import clear


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account()
    sandbox.update_customer(sandbox.customer_ids()[0], name='Ünïcode ☃ 株式会社, "quoted"\nand two lines')
    with sandbox.running() as base_url:
        yield sandbox, base_url


@pytest.fixture(scope="module")
def copied(live: tuple[Sandbox, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copied")
    done = command("sync", "--store", "good.duckdb", env=environment(live[1]), cwd=folder)
    assert done.code == 0, done.err
    return folder / "good.duckdb"


@pytest.fixture
def run(live: tuple[Sandbox, str], tmp_path: Path) -> Any:
    """`flexsync …` in this test's own folder."""

    def go(*arguments: object, stdin: str = "", **more: str) -> Done:
        return command(*arguments, env=environment(live[1], **more), cwd=tmp_path, stdin=stdin)

    return go


# --- help ----------------------------------------------------------------------------------------------------------


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, found in group.commands.items():
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from _commands(found, (*path, name))


EVERY = dict(_commands(cli))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], tmp_path: Path) -> None:
    """Each command and group prints help on stdout, exits with 0, and says in a sentence what it does."""
    done = command(*path, "--help", env=environment(), cwd=tmp_path)
    assert done.code == 0
    assert done.err == ""
    assert EVERY[path].help
    assert EVERY[path].help.split("\n")[0].rstrip().endswith((".", ")"))  # type: ignore[union-attr]
    assert EVERY[path].help.split()[0] in done.out  # type: ignore[union-attr]


def test_help_and_version_are_quick_and_import_nothing_heavy(tmp_path: Path) -> None:
    """`flexsync --help` loads neither database nor HTTP client."""
    heavy = "duckdb pyarrow httpx aiohttp pandas rich msgspec"
    script = f"""
import sys
from pipelines.cli.main import main
try:
    main(["--help"])
except SystemExit:
    sys.stderr.write(str([name for name in "{heavy}".split() if name in sys.modules]))
"""
    done = subprocess.run(
        [COMMAND[0], "-c", script], env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stderr == "[]"
    assert "customers" in done.stdout
    assert "flexsync" in command("--version", env=environment(), cwd=tmp_path).out


@pytest.mark.parametrize("arguments", [("nonsense",), ("sync", "--nonsense"), ("customers", "nonsense")])
def test_unknown_words_exit_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A mistyped command or option is named on stderr."""
    done = command(*arguments, env=environment(), cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "nonsense" in done.err


# --- demo and sandbox ------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_demo_answers_a_question_and_the_commands_that_it_suggests_work(tmp_path: Path) -> None:
    """The demo needs no account, is green, and leaves a copy that the commands it prints can read."""
    done = flexsync("demo", "--folder", "d", "--customers", "60", env=environment(key=""), cwd=tmp_path)
    assert done.code == 0, done.err
    assert "GREEN" in done.err
    assert "Which customers" in done.out
    typed = [line.strip() for line in done.out.splitlines() if line.startswith("  flexsync")]
    assert len(typed) == 2
    for line in typed:
        again = subprocess.run(
            line.replace("flexsync", f"{COMMAND[0]} -m pipelines.cli", 1), shell=True, cwd=tmp_path,
            env=environment(key=""), capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert again.stdout


def test_demo_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    """A folder that holds another file is refused, the message names that file, and nothing in the folder changes."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("years of work")
    done = command("demo", "--folder", "d", "--customers", "5", env=environment(), cwd=tmp_path)
    assert done.code == 2
    assert "thesis.txt" in done.err
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["thesis.txt"]


def test_demo_refuses_a_copy_that_no_demo_made(tmp_path: Path) -> None:
    """A copy of an account has the demo's file names; it stays. Only what a demo left is replaced by the next one."""
    (tmp_path / "work.duckdb").write_text("a year of nights")
    with pytest.raises(FixInput, match=r"holds work\.duckdb, which is not a demo's"):
        clear(tmp_path)
    assert (tmp_path / "work.duckdb").read_text() == "a year of nights"
    for _ in range(2):
        clear(tmp_path / "d")
        assert not (tmp_path / "d" / "work.duckdb").exists()
        (tmp_path / "d" / "work.duckdb").write_text("of a demo")
    with pytest.raises(FixInput, match=r"work\.duckdb is a file"):
        clear(tmp_path / "work.duckdb")


NUMBERS = (click.types.IntParamType, click.types.FloatParamType)
ANY = {"seed", "limit", "offset", "yes_really", "yes_archive", "calls_per_second", "max_in_flight", "max_calls"}
"""Options of any number: the settings or the server check it, or each has a meaning."""


def test_every_number_has_its_range() -> None:
    """A number that a command takes is checked where it is read, so that a wrong one ends with 2 and its option."""
    options = [option for found in EVERY.values() for option in found.params if isinstance(option.type, NUMBERS)]
    ranges = (click.IntRange, click.FloatRange)
    assert {option.name for option in options if not isinstance(option.type, ranges)} == ANY


@pytest.mark.parametrize(
    "given",
    [
        ("sandbox", "--port", "99999"),
        *few(
            [
                ("sandbox", "--customers", "-5"),
                ("sandbox", "--latency", "-1"),
                ("demo", "--customers", "0"),
                ("verify", "--sample", "-1"),
                ("sync", "--max-calls", "-1"),
                ("sync", "--calls-per-second", "-1"),
                ("sync", "--max-in-flight", "0"),
                ("import", "apply", "none.plan", "--yes-archive", "-1"),
            ],
            8,
        ),
    ],
    ids=" ".join,
)
def test_a_number_out_of_range_is_named(tmp_path: Path, given: tuple[str, ...]) -> None:
    """It ends with 2, and the message names the option or the setting."""
    done = command(*given, env=environment("http://127.0.0.1:9/v1"), cwd=tmp_path)
    assert done.code == 2, done.err
    assert given[-2].strip("-").replace("-", "_") in done.err.replace("-", "_") or "none.plan" in done.err


@pytest.mark.sampled
@pytest.mark.parametrize("number", [signal.SIGTERM, sampled(signal.SIGINT)])
def test_sandbox_serves_what_it_says_and_stops(tmp_path: Path, number: signal.Signals) -> None:
    """The line on stdout is a command that works; a signal stops the server with exit code 0 and frees the port."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("sandbox", "--customers", "12", "--port", port, "--latency", "1", env=environment(), cwd=tmp_path)
    assert process.stdout
    line = process.stdout.readline().strip()
    said = f"FLEXPRICE_BASE_URL=http://127.0.0.1:{port}/v1 FLEXPRICE_API_KEY=sandbox"
    assert line == f"{said} flexsync sync --store work.duckdb"
    words = line.replace("flexsync", f"{COMMAND[0]} -m pipelines.cli", 1)
    done = subprocess.run(
        words, shell=True, cwd=tmp_path, env=environment(key=""), capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/v1/customers", trust_env=False)


@pytest.mark.sampled
def test_sandbox_says_when_the_port_is_taken(tmp_path: Path) -> None:
    """A taken port and an unknown fault exit with 2, and the message holds the value."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = flexsync("sandbox", "--customers", "5", "--port", port, env=environment(), cwd=tmp_path)
    assert done.code == 2, done.err
    assert str(port) in done.err
    assert "Traceback" not in done.err
    done = flexsync("sandbox", "--faults", "latencie=5", env=environment(), cwd=tmp_path)
    assert (done.code, "latencie" in done.err) == (2, True)


# --- sync, status, verify, doctor, state -----------------------------------------------------------------------------


@pytest.mark.sampled
def test_sync_with_json(run: Any, tmp_path: Path) -> None:
    """With --json, stdout is one JSON document; without, it is the report in words; progress goes to stderr."""
    done = run("sync", "--json", "--publish", "duckdb:out.duckdb", "--publish", "parquet:lake")
    assert done.code == 0
    report = done.json
    assert (report["status"], report["mode"], report["reasons"]) == ("green", "full", [])
    assert report["published"] == ["duckdb:out.duckdb", "parquet:lake"]
    assert report["calls"] == sum(report["flow"]["operations"].values()) > 100
    assert report["certificate"]["customers"]["existed"] == 60
    assert report["error"] is None
    assert "walk/customers/published: " in done.err
    assert held(tmp_path / "out.duckdb") == held(tmp_path / "lake") == held(tmp_path / "flexsync.duckdb")
    again = run("sync")
    assert again.code == 0
    assert "no row changed" in again.out


def test_dry_run_writes_nothing(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """It counts on the server, prints JSON, makes no call for a single customer, and leaves the folder empty."""
    before = live[0].calls["GET /customers/usage"]
    done = run("sync", "--dry-run", "--publish", "duckdb:out.duckdb")
    assert done.code == 0
    assert sum(done.json["rows"][f"customers {status}"] for status in ("published", "archived")) == 60
    assert live[0].calls["GET /customers/usage"] == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sampled
def test_only_some_resources(run: Any, tmp_path: Path) -> None:
    """`--only` loads what was named and what that needs, and the rest stays empty."""
    assert run("sync", "--only", "customers").code == 0
    found = held(tmp_path / "flexsync.duckdb")
    assert len(found["customers"]) == 60
    assert not any(found[name] for name in ("subscriptions", "usage", "entitlements", "upcoming_grants"))
    assert run("sync", "--only", "entitlements").code == 0
    found = held(tmp_path / "flexsync.duckdb")
    assert found["entitlements"]
    assert found["subscriptions"]
    assert not found["usage"]


@pytest.mark.sampled
@pytest.mark.parametrize("budget", [("--max-calls", "30"), ("--deadline", "1ms")])
def test_a_spent_budget_is_resumable(
    run: Any, live: tuple[Sandbox, str], tmp_path: Path, budget: tuple[str, str]
) -> None:
    """A run that reaches its limit exits with 1 and names the limit; the next run is green with the right tables."""
    done = run("sync", *budget, "--publish", "duckdb:out.duckdb")
    assert done.code == 1
    assert budget[0].strip("-").replace("-", "_") in done.err or budget[0].strip("-") in done.err
    assert not (tmp_path / "out.duckdb").exists()
    assert run("sync").code == 0
    assert held(tmp_path / "flexsync.duckdb") == truth(live[0])


@pytest.mark.sampled
def test_a_degraded_run_says_why_and_publishes_unless_only_green_runs_may(tmp_path: Path) -> None:
    """Degraded: 1, the reason in the report and in the certificate; `--publish-when green` keeps the old copy."""
    sandbox = account()
    sandbox.faults = Faults(poison=frozenset(sandbox.active_customer_ids()[:1]))
    with sandbox.running() as base_url:
        env = environment(base_url)
        targets = ("--publish", "duckdb:out.duckdb")
        kept = command("sync", *targets, "--publish-when", "green", env=env, cwd=tmp_path)
        assert kept.code == 1
        assert not (tmp_path / "out.duckdb").exists()
        done = command("sync", *targets, env=env, cwd=tmp_path)
    assert done.code == 1
    assert "DEGRADED" in done.out
    assert "flexsync.rejects" in done.out
    assert ask(tmp_path / "out.duckdb", "SELECT DISTINCT status FROM flexsync.runs") == [("degraded",)]
    stored = ask(tmp_path / "out.duckdb", "SELECT green, body FROM flexsync.certificates ORDER BY run_id DESC LIMIT 1")
    assert stored[0][0] is False
    assert "rejects" in stored[0][1]


def test_status_and_its_exit_code(run: Any, copied: Path) -> None:
    """Fresh is 0, too old is 1; as a table and as JSON, on stdout."""
    assert run("status", "--store", copied, "--max-age", "1h").code == 0
    time.sleep(1.1)
    assert run("status", "--store", copied, "--max-age", "1s").code == 1
    done = run("status", "--store", copied, "--json")
    assert (done.code, done.json["rows"]["customers"], done.json["stale"]) == (0, 60, False)
    shown = run("status", "--store", copied)
    assert "customers" in shown.out
    assert "green" in shown.out


def test_status_of_a_copy_that_never_finished(run: Any) -> None:
    """A store whose only run was cut short counts as stale."""
    assert run("sync", "--max-calls", "5").code == 1
    done = run("status")
    assert done.code == 1
    assert "never finished" in done.out


@pytest.mark.sampled
def test_verify_holds_and_finds_what_was_changed(live: tuple[Sandbox, str], tmp_path: Path, copied: Path) -> None:
    """A correct copy exits with 0; a forged row exits with 1 and is listed field by field."""
    path = tmp_path / "v.duckdb"
    path.write_bytes(copied.read_bytes())
    env = environment(live[1])
    done = command("verify", "--store", path, "--sample", "100", env=env, cwd=tmp_path)
    assert done.code == 0, done.out
    assert (done.json["ok"], done.json["compared"], done.json["differences"]) == (True, 60, [])
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE customers SET name = 'forged' WHERE id = (SELECT min(id) FROM customers)")
    done = command("verify", "--store", path, "--sample", "100", env=env, cwd=tmp_path)
    assert done.code == 1
    assert done.json["differences"][0]["fields"]["name"]["stored"] == "forged"
    with duckdb.connect(str(path)) as db:
        db.execute("DELETE FROM customers WHERE name = 'forged'")
    done = command("verify", "--store", path, env=env, cwd=tmp_path)
    assert done.code == 1
    assert any("59 are in the store" in reason for reason in done.json["certificate"]["reasons"])


def test_doctor_lists_every_check_and_a_remedy(
    run: Any, live: tuple[Sandbox, str], tmp_path: Path, copied: Path
) -> None:
    """Every check is made and printed; one that fails makes the exit code 2 and comes with its remedy."""
    done = run("doctor", "--store", copied, "--publish", f"duckdb:{tmp_path / 'none.duckdb'}")
    assert done.code == 0, done.err
    for check in ("settings", "key", "store", "publication", "server", "filters", "sweep"):
        assert f"ok   {check}" in done.out
    (tmp_path / "bad.duckdb").write_text("no database")
    done = run("doctor", "--store", tmp_path / "bad.duckdb", FLEXPRICE_BASE_URL=live[1] + "/nowhere")
    assert done.code == 2
    assert "BAD  store" in done.out
    assert "BAD  server" in done.out
    done = command("doctor", env=environment(live[1], key=""), cwd=tmp_path)
    assert done.code == 2
    assert "BAD  key" in done.out
    assert "export FLEXPRICE_API_KEY" in done.out


@pytest.mark.sampled
def test_state_show_set_and_reset(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """The cursor can be shown, moved back and deleted, and a sync after each step gives the right tables."""
    assert run("sync").code == 0
    shown = run("state", "show").json
    walks = {"customers/published", "customers/archived", "subscriptions"}
    assert {cursor["resource"] for cursor in shown["cursors"]} == walks
    done = run("state", "set", "2100-01-01")
    assert done.code == 2
    assert "later than the cursor" in done.err
    assert run("state", "set", "2026-10-30T00:00:00+02:00").code == 0
    moved = {c["cursor"] for c in run("state", "show").json["cursors"]}
    assert max(moved) == "2026-10-29T22:00:00Z", "a cursor that was earlier stays"
    assert run("sync", "--json").json["mode"] == "incremental"
    assert run("state", "reset", stdin="n\n").code == 2
    assert run("state", "show").json["cursors"]
    assert run("state", "reset", stdin="y\n").code == 0
    assert run("state", "show").json["cursors"] == []
    assert run("sync", "--json").json["mode"] == "full"
    assert held(tmp_path / "flexsync.duckdb") == truth(live[0])


# --- sql -------------------------------------------------------------------------------------------------------------

ODD = """SELECT * FROM (VALUES
    (1, 123456789012345678.123456789012345678::DECIMAL(38, 18), 'Ünïcode ☃ "x", y', NULL, DATE '2026-01-02',
     TIMESTAMPTZ '2026-01-02 03:04:05.000006+00', MAP {'a': 'b'}, ['p', NULL], true),
    (2, 0.1::DECIMAL(38, 18), '', 'two' || chr(10) || 'lines', NULL, NULL, NULL, NULL, NULL))
    t(i, d, s, n, day, seen, m, l, b) ORDER BY i"""


def test_sql_as_csv(run: Any, copied: Path) -> None:
    """Decimals are exact, texts complete, and NULL is an empty cell."""
    done = run("sql", "--store", copied, ODD, "--format", "csv")
    assert done.code == 0, done.err
    found = list(csv.DictReader(io.StringIO(done.out)))
    assert found[0]["d"] == "123456789012345678.123456789012345678"
    assert (found[0]["s"], found[0]["n"], found[0]["seen"]) == (
        'Ünïcode ☃ "x", y',
        "",
        "2026-01-02T03:04:05.000006+00:00",
    )
    assert (found[1]["d"], found[1]["n"], found[1]["day"]) == ("0.1", "two\nlines", "")


def test_sql_as_json(run: Any, copied: Path) -> None:
    """Decimals are exact strings, maps are objects, and NULL is null."""
    rows = run("sql", "--store", copied, ODD, "--format", "json").json
    assert rows[0]["d"] == "123456789012345678.123456789012345678"
    assert (rows[0]["m"], rows[0]["l"], rows[0]["n"], rows[0]["b"]) == ({"a": "b"}, ["p", None], None, True)
    assert (rows[1]["d"], rows[1]["m"], rows[1]["s"]) == ("0.1", None, "")


def test_sql_as_parquet(run: Any, copied: Path, tmp_path: Path) -> None:
    """The file holds the types: decimal, timestamp, NULL."""
    assert run("sql", "--store", copied, ODD, "--format", "parquet", "--output", "o.parquet").code == 0
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert rows[0]["d"] == Decimal("123456789012345678.123456789012345678")
    assert rows[1]["seen"] is None


def test_sql_as_a_table(run: Any, copied: Path) -> None:
    """A table holds every digit, and shows markup in the data as text."""
    done = run(
        "sql", "--store", copied, "SELECT 0.000000000000000001::DECIMAL(38, 18) AS tiny, '[bold]x[/]' AS s, NULL AS n"
    )
    assert "0.000000000000000001" in done.out
    assert "[bold]x[/]" in done.out


def test_sql_from_standard_input_to_a_file(run: Any, copied: Path, tmp_path: Path) -> None:
    """`-` reads the query, `--output` writes the result, and stdout stays empty."""
    done = run("sql", "--store", copied, "-", "--format", "csv", "--output", "o.csv", stdin="SELECT 1 AS x")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "o.csv").read_text() == "x\n1\n"


@pytest.mark.sampled
def test_sql_into_a_pipe_that_closes(live: tuple[Sandbox, str], copied: Path, tmp_path: Path) -> None:
    """`flexsync sql … | head -1` ends without a message."""
    words = f'{COMMAND[0]} -m pipelines.cli sql --store {copied} "SELECT * FROM range(200000)" --format csv | head -1'
    done = subprocess.run(
        words,
        shell=True,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "range\n"
    assert done.stderr == ""


@pytest.mark.sampled
def test_sql_while_a_sync_holds_the_store(tmp_path: Path) -> None:
    """A note names the publication that is queried instead; without one, the exit code is 4."""
    sandbox = account()
    targets = ("--publish", "duckdb:out.duckdb", "--publish", "parquet:lake")
    with sandbox.running() as base_url:
        env = environment(base_url)
        assert command("sync", *targets, env=env, cwd=tmp_path).code == 0
        sandbox.faults = Faults(latency=50)
        calls = sandbox.calls_total
        process = start("sync", "--full", env=env, cwd=tmp_path)
        while sandbox.calls_total < calls + 8:
            assert process.poll() is None
            time.sleep(0.01)
        query = "SELECT count(*) AS n FROM customers"
        done = command("sql", query, "--format", "csv", *targets, env=env, cwd=tmp_path)
        seen = command("status", "--json", env={**env, "FLEXSYNC_CONFIG": str(config(tmp_path))}, cwd=tmp_path)
        alone = command("sql", query, env=env, cwd=tmp_path)
        assert process.poll() is None, "the sync ended before the queries did"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert (done.code, done.out) == (0, "n\n60\n")
    assert "a sync holds" in done.err
    assert "lake" in done.err or "out.duckdb" in done.err
    assert (seen.code, "a sync holds" in seen.json["source"]) == (0, True)
    assert (alone.code, alone.out) == (4, "")


def config(folder: Path) -> Path:
    path = folder / "c.toml"
    path.write_text('[sync]\npublish = ["duckdb:out.duckdb"]\n')
    return path


# --- a machine without a disk ---------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("target", ["duckdb:out.duckdb", sampled("parquet:lake")])
def test_a_store_comes_back_from_its_publication(
    live: tuple[Sandbox, str], run: Any, tmp_path: Path, target: str
) -> None:
    """When only the publication is left, the next sync is incremental and green, and the tables are the same."""
    assert run("sync", "--publish", target).code == 0
    before = tables(tmp_path / "flexsync.duckdb")
    for path in tmp_path.glob("flexsync.duckdb*"):
        path.unlink()
    done = run("sync", "--publish", target, "--json")
    assert done.code == 0, done.err
    assert "restored from" in done.err
    assert (done.json["mode"], done.json["status"]) == ("incremental", "green")
    assert sum(sum(moved.values()) for moved in done.json["tables"].values()) == 0
    assert tables(tmp_path / "flexsync.duckdb") == before
    assert held(tmp_path / "flexsync.duckdb") == truth(live[0])


# --- the ten operations by hand ---------------------------------------------------------------------------------------


def test_a_round_trip_by_hand(tmp_path: Path) -> None:
    """Create, get, update, usage, entitlements, grants, delete: each prints the server's JSON."""
    sandbox = account(10)
    with sandbox.running() as base_url:

        def customers(*arguments: str, stdin: str = "") -> Done:
            return command("customers", *arguments, env=environment(base_url), cwd=tmp_path, stdin=stdin)

        made = customers(
            "create", "--external-id", "a/b", "--name", "Ünï", "--email", "a@b.test", "--metadata", "k=v=w"
        ).json
        assert (made["external_id"], made["name"], made["metadata"]) == ("a/b", "Ünï", {"k": "v=w"})
        id = made["id"]
        assert customers("get", id).json["email"] == "a@b.test"
        assert customers("get", "--external-id", "a/b").json["id"] == id
        assert customers("update", id, "--name", "New", "--address-country", "DE").json["address_country"] == "DE"
        renamed = customers("update", "--external-id", "a/b", "--new-external-id", "plain").json
        assert (renamed["external_id"], renamed["name"]) == ("plain", "New")
        assert customers("get", "--external-id", "plain").json["id"] == id
        sandbox.add_subscription(id)
        usage = customers("usage", id).json
        assert usage["features"]
        assert customers("usage", "--external-id", "plain").json["features"] == usage["features"]
        one = usage["features"][0]["feature"]
        for option, value in (("--feature-ids", one["id"]), ("--feature-lookup-keys", one["lookup_key"])):
            only = customers("usage", id, option, value).json["features"]
            assert [feature["feature"]["id"] for feature in only] == [one["id"]]
        entitled = customers("entitlements", id).json
        assert entitled["subscriptions"][0]["customer_id"] == id
        assert len(entitled["features"]) == len(usage["features"])
        assert "items" in customers("grants", id).json
        refused = customers("delete", id, "--yes")
        assert (refused.code, refused.out) == (1, "")
        assert "cancel all subscriptions" in refused.err
        sandbox.cancel_subscription(entitled["subscriptions"][0]["id"])
        assert customers("delete", id).code == 2
        assert customers("get", id).json["status"] == "published"
        gone = customers("delete", id, stdin="y\n")
        assert (gone.code, gone.out) == (0, "")
        assert customers("get", id).json["status"] == "archived"


def test_list_and_search_by_hand(tmp_path: Path) -> None:
    """Listing, paging, filters, sorting and bodies from options, files and standard input."""
    sandbox = account(30)
    with sandbox.running() as base_url:

        def customers(*arguments: str, stdin: str = "") -> Any:
            done = command("customers", *arguments, env=environment(base_url), cwd=tmp_path, stdin=stdin)
            assert done.code == 0, done.err
            return done.json

        everybody = sandbox.customer_ids()
        page = customers("list", "--limit", "7", "--order", "asc")
        assert [row["id"] for row in page["items"]] == everybody[:7]
        assert page["pagination"] == {"total": len(everybody), "limit": 7, "offset": 7}
        two = ("--customer-ids", everybody[0], "--customer-ids", everybody[3])
        assert {row["id"] for row in customers("list", *two)["items"]} == {everybody[0], everybody[3]}
        assert customers("list", "--status", "archived")["items"][0]["status"] == "archived"
        found = customers("search", "--sort", "name:desc", "--sort", "id", "--limit", "30")["items"]
        names = [row["name"] for row in found]
        assert set(names) == {row["name"] for row in customers("list", "--limit", "30")["items"]}
        wanted = found[4]
        condition = f'{{"field":"id","operator":"eq","value":{{"string":"{wanted["id"]}"}}}}'
        assert [row["id"] for row in customers("search", "--filter", condition)["items"]] == [wanted["id"]]
        assert customers("search", "--external-id", wanted["external_id"])["items"][0]["id"] == wanted["id"]
        body = f'{{"customer_ids":["{wanted["id"]}"],"limit":3}}'
        (tmp_path / "body.json").write_text(body)
        for given, stdin in ((body, ""), ("@body.json", ""), ("-", body)):
            assert customers("search", "--body", given, stdin=stdin)["pagination"]["total"] == 1
        assert customers("search", "--body", body, "--limit", "9")["pagination"]["limit"] == 9
        assert names == sorted(names, reverse=True) or len(set(names)) > 1


def test_every_field_of_a_customer_has_its_flag() -> None:
    """`customers create` and `update` take each field that the API takes; their list cannot import the models."""
    from connector.api.fields import TEXTS
    from pipelines.cli.bodies import FIELDS

    assert tuple(name for name in TEXTS if name != "external_id") == FIELDS
