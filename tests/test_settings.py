"""connector.settings: which source wins, what is refused, and that the key shows nowhere."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pages
import pytest
import setting_keywords
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connector.errors import FixInput
from connector.settings import DEFAULT_BASE_URL, SECTIONS, Secret, Settings, check_host, duration, load
from connector.settings.setting import Setting, settings_in
from connector.tables.schemas import TABLES

CONFIGS = Path(__file__).parent.parent / "configs"
MARKER = "sk_MARKER0123456789MARKER"


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "flexsync.toml"
        path.write_text(text)
        return path

    return write


def refused(*args: Any, **flags: Any) -> str:
    with pytest.raises(FixInput) as caught:
        load(*args, environ=flags.pop("environ", {}), **flags)
    return str(caught.value)


def test_the_keywords_of_load_are_the_settings() -> None:
    """The module that type checkers read is what the generator makes of the declarations."""
    present = setting_keywords.MODULE.read_text(encoding="utf-8")
    assert present == setting_keywords.written(), "run: python tests/setting_keywords.py"


# --- sources ---


def test_defaults_are_the_documented_ones() -> None:
    """With no source at all the settings are those that configs/nightly.toml and the design name."""
    settings = load(environ={})
    assert settings.api.base_url == DEFAULT_BASE_URL == "https://us.api.flexprice.io/v1"
    assert (settings.flow.max_in_flight, settings.flow.attempts, settings.flow.max_calls) == (32, 6, None)
    assert settings.flow.max_pause == timedelta(minutes=15)
    assert settings.flow.deadline == timedelta(hours=12)
    assert settings.sync.overlap == timedelta(minutes=10)
    assert settings.api.key is None


def test_flag_beats_environment_beats_profile_beats_file(toml: Any) -> None:
    """One setting given in every place is taken from the strongest that has it."""
    path = toml('[api]\nenvironment_id="file"\n[profiles.p.api]\nenvironment_id="profile"\n')
    named = {"FLEXPRICE_ENVIRONMENT_ID": "environment"}
    assert load(path, environ={}).api.environment_id == "file"
    assert load(path, "p", environ={}).api.environment_id == "profile"
    assert load(path, "p", environ=named).api.environment_id == "environment"
    assert load(path, "p", environ=named, environment_id="flag").api.environment_id == "flag"
    assert load(path, "p", environ=named, environment_id=None).api.environment_id == "environment"


def test_environment_names_file_and_profile(toml: Any) -> None:
    """FLEXSYNC_CONFIG and FLEXSYNC_PROFILE do what --config and --profile do, and lose to them."""
    path = toml("[profiles.a.flow]\nattempts=2\n[profiles.b.flow]\nattempts=3\n")
    named = {"FLEXSYNC_CONFIG": str(path), "FLEXSYNC_PROFILE": "a"}
    assert load(environ=named).flow.attempts == 2
    assert load(environ=named, profile="b").flow.attempts == 3
    assert load(environ=named).config == path


def test_profile_overlays_only_what_it_names(toml: Any) -> None:
    """A profile changes its own settings and leaves the others of the file alone."""
    path = toml('[flow]\nattempts=2\ntimeout="5s"\n[profiles.p]\nflow.attempts=4\n')
    flow = load(path, "p", environ={}).flow
    assert (flow.attempts, flow.timeout) == (4, timedelta(seconds=5))


def test_key_comes_from_the_variable_that_key_env_names(toml: Any) -> None:
    """Each profile can have a key of its own, in a variable of its own."""
    path = toml('[profiles.p.api]\nkey_env="OTHER_KEY"\n')
    environ = {"FLEXPRICE_API_KEY": "one", "OTHER_KEY": " two\n"}
    assert load(path, environ=environ).require_key().reveal() == "one"
    assert load(path, "p", environ=environ).require_key().reveal() == "two"
    assert load(path, "p", environ=environ, api_key="three").require_key().reveal() == "three"


def test_missing_key_says_how_to_set_it() -> None:
    """Without a key everything loads; who needs it is told the variable, and that the demo needs none."""
    with pytest.raises(FixInput, match=r"FLEXPRICE_API_KEY.*flexsync demo"):
        load(environ={}).require_key()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_shipped_configs_load(path: Path) -> None:
    """Every file in configs/ loads, with each of its profiles."""
    for profile in ["", *tomllib.loads(path.read_text()).get("profiles", {})]:
        assert isinstance(load(path, profile, environ={}), Settings)


@pytest.mark.parametrize(
    ("file", "some"),
    [
        ("nightly.toml", {"max_in_flight", "attempts", "timeout", "full_every", "overlap", "resume_for"}),
        ("import.toml", {"mode", "match", "metadata", "max_share", "max_creates", "max_age", "neutralise"}),
    ],
)
def test_comments_show_the_defaults(file: str, some: set[str]) -> None:
    """Every commented setting of a shipped config that shows a default shows the real one."""
    text = (CONFIGS / file).read_text()
    shown = [line.removeprefix("# ").split("  #")[0] for line in text.splitlines() if re.match(r"# \w+ = ", line)]
    free = {
        "environment_id",
        "allow_http",
        "key_file",
        "calls_per_second",
        "max_calls",
        "only",
        "exclude",
        "encoding",
        "delimiter",
        "accept",
        "fix",
    }  # have no default to show
    defaults = {name: field.default for struct in SECTIONS.values() for name, field in _fields(struct).items()}
    names = [line.split(" = ")[0] for line in shown]
    assert set(names) >= some
    for name, line in zip(names, shown, strict=True):
        if name not in free and name in defaults:
            given = load(environ={}, **{name: msgspec.toml.decode(line)[name]})  # type: ignore[arg-type]
            assert defaults[name] in [
                getattr(getattr(given, section.replace("import", "imports")), name, None) for section in SECTIONS
            ], line


def _fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field for field in msgspec.structs.fields(struct)}


# --- the declarations ---


def declared() -> list[Setting]:
    return [setting for struct in (*SECTIONS.values(), Settings) for setting in settings_in(struct).values()]


def test_every_setting_is_declared_once_with_its_meaning() -> None:
    """Each field of a section has a meaning of whole sentences, and no name stands in two sections."""
    fields = [name for struct in SECTIONS.values() for name in _fields(struct)]
    assert [setting.name for setting in declared()] == [*fields, "profile", "config"]
    assert len(set(fields)) == len(fields)
    for setting in declared():
        assert setting.meaning.endswith("."), setting.name


def test_declared_defaults_are_the_loaded_ones() -> None:
    """A setting's declared default is the value that loading without any source gives; durations read back as shown."""
    settings = load(environ={})
    for section, struct in SECTIONS.items():
        values = getattr(settings, section.replace("import", "imports"))
        for name, setting in settings_in(struct).items():
            assert getattr(values, name) == setting.default, name
            if isinstance(setting.default, timedelta):
                assert duration(pages.duration_text(setting.default)) == setting.default


NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duckdb", "keep", "days"),
    [("35d", "400d", (35, 400)), ("all", "7d", (7, 7)), ("0d", "all", (0, None)), ("900d", "400d", (400, 400)),
     ("all", "999999999d", (None, None))],
)  # fmt: skip
def test_how_far_back_histories_reach(duckdb: str, keep: str, days: tuple[int | None, int | None]) -> None:
    """A length of time or "all"; a publication reaches no further than the store."""
    given = load(environ={}, history_in_duckdb=duckdb, history_keep=keep).history
    found = (given.since_in_duckdb(NOW), given.since(NOW))
    assert found == tuple(None if number is None else NOW - timedelta(days=number) for number in days)


@pytest.mark.parametrize("wrong", ["0", 0, "ever", "-1d"])
def test_a_history_without_a_unit_is_refused(wrong: Any) -> None:
    """As every length of time; the error names the word that may stand in its place."""
    with pytest.raises(FixInput, match=r'or "all"\.'):
        load(environ={}, history_keep=wrong)


def test_declared_flags_are_options_of_the_command() -> None:
    """Every flag that a declaration names is shown by the --help of a command that reads settings."""
    shown = ""
    for command in (["sync"], ["import", "plan"], ["import", "apply"]):
        line = [str(Path(sys.executable).parent / "flexsync"), *command, "--help"]
        shown += subprocess.run(line, check=True, capture_output=True, text=True).stdout
    options = set(re.findall(r"--[a-z-]+", shown))
    assert {setting.flag for setting in declared() if setting.flag} <= options


def test_declared_variables_are_read(toml: Any) -> None:
    """Every environment variable that a declaration names changes its own setting."""
    given = {"FLEXPRICE_BASE_URL": "https://a.test/v1", "FLEXPRICE_ENVIRONMENT_ID": "env_1", "FLEXPRICE_API_KEY": "k",
             "FLEXPRICE_API_KEY_FILE": "key",
             "FLEXSYNC_PROFILE": "p", "FLEXSYNC_CONFIG": str(toml("[profiles.p]"))}  # fmt: skip
    assert {setting.variable for setting in declared() if setting.variable} == set(given)
    default, settings = load(environ={}), load(environ=given)
    for setting in settings_in(type(settings.api)).values():
        if setting.variable:
            assert getattr(settings.api, setting.name) != getattr(default.api, setting.name)
    assert (settings.profile, str(settings.config)) == ("p", given["FLEXSYNC_CONFIG"])


def test_pages_name_every_setting_and_every_column() -> None:
    """The generated pages hold a row for each setting and for each column of each table."""
    text = pages.settings_page()
    for setting in declared():
        assert f"| `{setting.name}` |" in text
    for part in ("`15m`", "`FLEXPRICE_BASE_URL`", "`--store`", "`0.3`", "`true`"):
        assert part in text
    text = pages.tables_page()
    for table in TABLES.values():
        assert f"## {table.name}" in text
        for name in table.names:
            assert f"| `{name}` |" in text


# --- what is refused ---


def test_unknown_setting_names_the_nearest_with_file_and_line(toml: Any) -> None:
    """A mistyped setting is named with its file, its line and the setting that was meant."""
    text = refused(toml('[api]\nbase_url = "https://a.test/v1"\n\n[flow]\n# a comment\nmax_in_flihgt = 3\n'))
    assert "flexsync.toml line 6" in text
    assert 'Did you mean "max_in_flight"' in text


def test_unknown_section_and_profile_are_named(toml: Any) -> None:
    """Mistyped sections and profiles are named as well, in sleeping profiles too."""
    path = toml("[snyc]\nprune=true\n[profiles.prod.flwo]\nattempts=1\n")
    text = refused(path, "prdo")
    for part in ("line 1", '"sync"', "line 3", '"flow"', "'prdo'", '"prod"'):
        assert part in text


def test_every_fault_is_reported_at_once(toml: Any) -> None:
    """Faults of all sources come in one message, each with its place and an example of the right form."""
    path = toml('[flow]\nattempts = "many"\ntimeout = 60\n[sync]\npublish_when = "sometimes"\nonly = "usage"\n')
    text = refused(path, max_in_flight=0, deadlin="1h")
    for part in (
        "line 2: attempts = 'many'",
        'line 3: timeout = 60 is not a length of time. Write a number and a unit, like "90s"',
        "line 5: publish_when = 'sometimes'",
        "line 6: only = 'usage'",
        "flag --max-in-flight: max_in_flight = 0",
        "flag --deadlin: unknown setting 'deadlin'. Did you mean \"deadline\"?",
    ):
        assert part in text


@pytest.mark.parametrize("line", ["key", "api_key"])
def test_key_in_a_file_is_refused_unshown(toml: Any, line: str) -> None:
    """A key written into a file is refused with a remedy, and the message does not repeat it."""
    text = refused(toml(f'[api]\n{line} = "{MARKER}"\n'))
    assert "line 2" in text
    assert "FLEXPRICE_API_KEY" in text
    assert MARKER not in text


def test_key_in_key_env_is_refused_unshown(toml: Any) -> None:
    """Somebody who writes the key where its variable's name belongs does not see it in the message."""
    assert MARKER not in refused(toml(f'[api]\nkey_env = "{MARKER}"\n'))


@pytest.mark.parametrize("key", [f"{MARKER} x", f"{MARKER}\nx", f"{MARKER}é"])
def test_key_that_cannot_travel_is_refused_unshown(key: str) -> None:
    """A key with a blank, a line break or a foreign letter is refused before it becomes a header."""
    assert MARKER not in refused(environ={"FLEXPRICE_API_KEY": key})


@pytest.mark.parametrize("text", ["[api", 'x = "', "\x00"])
def test_broken_toml_names_the_line(toml: Any, text: str) -> None:
    """A file that is no TOML is named with the parser's line."""
    assert "is not TOML" in refused(toml(text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert "nowhere.toml" in refused(tmp_path / "nowhere.toml")


def test_import_section_is_read_like_the_others(toml: Any) -> None:
    """[import] and its tables arrive typed, a profile lies over them, and what does not fit is told with a remedy."""
    text = """[import]
mode = "update"
mapping = { "Kundennummer" = "external_id" }
[import.constants]
timezone = "Europe/Berlin"
[profiles.test.import]
onboarding = "skip"
"""
    found = load(toml(text), "test", environ={}).imports
    assert (found.mode, found.onboarding) == ("update", "skip")
    assert found.mapping == {"Kundennummer": "external_id"}
    assert found.constants == {"timezone": "Europe/Berlin"}
    wrong = refused(toml('[import]\nonboarding = "maybe"\nmapping = "x"\nmax_share = 2\nmod = "upsert"\n'))
    assert 'Write "skip", "run" or "run:NAME".' in wrong
    assert 'Write a table of texts, like mapping = {"Company" = "name"}.' in wrong
    assert "max_share = 0.3" in wrong
    assert 'Did you mean "mode"?' in wrong


# --- durations ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1w", 604800),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are a number and a unit, or a sum of them."""
    assert load(environ={}, deadline=text).flow.deadline == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "5", "5 parsecs", "1h-5m", "-1h", "1h x", 5, True, ["1h"], "9" * 30 + "d"])
def test_bad_durations(text: object) -> None:
    """Anything else is refused with an example; a bare number has no unit."""
    assert '"90s", "15m"' in refused(timeout=text)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from("smhd"))
def test_every_whole_duration_is_read(number: int, unit: str) -> None:
    """Any whole number with any unit is read exactly."""
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert load(environ={}, resume_for=f"{number}{unit}").sync.resume_for == timedelta(seconds=seconds)


# --- hosts ---


@pytest.mark.parametrize(
    "url",
    ["https://a.test/v1", "http://localhost:8080/v1", "http://127.9.9.9/v1", "http://[::1]:80/v1", "https://1.2.3.4"],
)
def test_safe_hosts_pass(url: str) -> None:
    """TLS anywhere, and plain http to this machine, pass."""
    assert check_host(url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://a.test/v1",
        "http://localhost.evil.test/v1",
        "http://127.0.0.1.evil.test/v1",
        "http://0.0.0.0/v1",
        "http://127.1/v1",
        "http://user@localhost/v1",
        "http://localhost@evil.test/v1",
        "http://localhost\\@evil.test/v1",
        "http://evil.test#@localhost/",
        "https://user:hush@a.test/v1",
        "https://a.test/v1?k=1",
        "https://a.test:x/v1",
        "https://a b.test/v1",
        "ftp://a.test",
        "a.test/v1",
        "",
    ],
)
def test_unsafe_hosts_are_refused(url: str) -> None:
    """Anything that could carry the key in the clear, or to somewhere else, is refused with a remedy."""
    with pytest.raises(FixInput) as caught:
        check_host(url)
    assert caught.value.remedy
    assert "hush" not in str(caught.value)


def test_named_host_may_be_plain() -> None:
    """A host named in allow_http may be spoken to without TLS, that one only; the refusal says how to name it."""
    assert (
        load(environ={}, base_url="http://Inside:80/v1", allow_http=("inside",)).api.base_url == "http://Inside:80/v1"
    )
    with pytest.raises(FixInput, match=r'allow_http = \["other"\]'):
        check_host("http://other/v1", ["inside"])


# --- the secret ---


def test_secret_shows_nowhere() -> None:
    """print, format, repr, pickle, JSON, copies, settings and their dictionaries show three stars, never the key."""
    settings = load(environ={"FLEXPRICE_API_KEY": MARKER})
    secret = settings.require_key()
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!r:5}", "%s" % secret, repr(settings)]  # noqa: UP031
    shown += [str(msgspec.structs.asdict(settings.api)), json.dumps(settings.api.key, default=str), repr([secret])]
    shown += [msgspec.json.encode(settings, enc_hook=str).decode(), repr(pickle.dumps(settings)), repr(vars(Secret))]
    assert MARKER not in "".join(shown)
    assert copy.deepcopy(secret).reveal() == MARKER
    assert pickle.loads(pickle.dumps(secret)).reveal() == "***"


def test_secrets_compare_by_value() -> None:
    """Two secrets of one value are equal and hash alike; an empty one is false."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("")


def test_no_two_settings_have_one_name() -> None:
    """A flag, and `flexsync.load(name=…)`, take a setting by its name alone, whatever its section."""
    names = Counter(name for struct in SECTIONS.values() for name in settings_in(struct))
    assert [name for name, times in names.items() if times > 1] == []
