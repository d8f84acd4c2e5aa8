"""Every setting from every place, as one frozen `Settings`: the only reader of ``configs/*.toml`` and the environment.

Promised: flags win over the environment, the environment over the chosen profile, the profile over the rest of the
file, the file over defaults. Everything wrong is reported at once, each fault with its place, the nearest known name
and a remedy. The key is read from the environment (or handed over by a program), lives in a `Secret`, and is refused
in a file. Never done: network, writing, guessing a file (only ``--config`` or ``FLEXSYNC_CONFIG`` names one).
"""

from __future__ import annotations

import difflib
import hmac
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from connector.errors import FixInput

__all__ = ["DEFAULT_BASE_URL", "Api", "Flow", "Import", "Privacy", "Secret", "Settings", "Sync", "check_host", "load"]

DEFAULT_BASE_URL = "https://us.api.flexprice.io/v1"  # the default of both SDKs (contract.md 1.1)
ENVIRONMENT = {"FLEXPRICE_BASE_URL": "base_url", "FLEXPRICE_ENVIRONMENT_ID": "environment_id"}
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_BAD_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")
_BAD_KEY = re.compile(r"[^\x21-\x7e]")

Count: TypeAlias = Annotated[int, Meta(ge=1)]


class Secret:
    """A text that no print, format, pickle or JSON shows: it appears as ``***``. `reveal` gives the value."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself, for the one header that needs it."""
        return self.__value

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self.__value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: Any) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, ("***",)  # a pickle is a file: what comes back is the mask


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """[api]: which account, and how it is spoken to.

    `key` is never in a file: it comes from the environment variable that `key_env` names.
    """

    base_url: str = DEFAULT_BASE_URL
    environment_id: str = ""
    allow_http: tuple[str, ...] = ()
    key_env: str = "FLEXPRICE_API_KEY"
    key_header: str = "x-api-key"
    key: Secret | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """[flow]: how many calls at once, how fast, and when to stop (design section 6)."""

    max_in_flight: Count = 32
    calls_per_second: Annotated[float, Meta(gt=0)] | None = None
    max_pause: timedelta = timedelta(minutes=15)
    deadline: timedelta | None = timedelta(hours=12)
    max_calls: Count | None = None
    attempts: Count = 6
    timeout: timedelta = timedelta(seconds=60)


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """[sync]: what is copied, where to, and how fresh it is kept (design section 4)."""

    store: Path = Path("flexsync.duckdb")
    publish: tuple[str, ...] = ()
    publish_when: Literal["always", "green"] = "always"
    full_every: timedelta = timedelta(days=7)
    overlap: timedelta = timedelta(minutes=10)
    resume_for: timedelta = timedelta(hours=24)
    prune: bool = True
    audit_sample: Annotated[int, Meta(ge=0)] = 50
    only: tuple[str, ...] = ()


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """[import]: how a file of customers is read, what passes without asking twice, and how a plan is carried out."""

    mode: Literal["upsert", "create", "update"] = "upsert"
    match: Literal["external_id", "id"] = "external_id"
    metadata: Literal["merge", "replace"] = "merge"
    onboarding: Annotated[str, Meta(pattern="^(|skip|run|run:.+)$")] = ""
    encoding: str = ""
    delimiter: str = ""
    mapping: dict[str, str] = {}
    constants: dict[str, str] = {}
    max_share: Annotated[float, Meta(ge=0, le=1)] = 0.3
    max_creates: Annotated[int, Meta(ge=0)] = 1000
    max_archives: Annotated[int, Meta(ge=0)] = 0
    max_key_changes: Annotated[int, Meta(ge=0)] = 0
    max_doubts: Annotated[int, Meta(ge=0)] = 0
    max_age: timedelta = timedelta(hours=24)
    max_failures: Count = 50
    neutralise: bool = True


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """[privacy]: columns (``table.column``) that publications leave out."""

    exclude: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a job needs to know, decided once.

    Attributes:
        api: see `Api`.
        flow: see `Flow`.
        sync: see `Sync`.
        privacy: see `Privacy`.
        imports: see `Import`.
        profile: the account environment that was chosen, or "".
        config: the file that was read, or None.
    """

    api: Api = Api()
    flow: Flow = Flow()
    sync: Sync = Sync()
    privacy: Privacy = Privacy()
    imports: Import = Import()
    profile: str = ""
    config: Path | None = None

    def require_key(self) -> Secret:
        """The API key. Raises FixInput, saying how to set one, when there is none."""
        if self.api.key:
            return self.api.key
        raise FixInput(
            f"No API key: the environment variable {self.api.key_env} is not set.",
            remedy=f"Set it (export {self.api.key_env}=sk_…); `flexsync demo` needs no key.",
        )


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "api": Api,
    "flow": Flow,
    "sync": Sync,
    "privacy": Privacy,
    "import": Import,
}


def load(
    config: Path | str | None = None,
    profile: str | None = None,
    environ: Mapping[str, str] = os.environ,
    **flags: Any,
) -> Settings:
    """Put all sources together.

    Args:
        config: the TOML file; without it the one that FLEXSYNC_CONFIG names; without that none.
        profile: the ``[profiles.NAME]`` to lay over it; without it FLEXSYNC_PROFILE.
        environ: the environment to read.
        **flags: any setting by its name (names are unique over the sections), and `api_key`; None means "not given".

    Returns:
        The settings; `api.base_url` has passed `check_host` and ends without a slash.

    Raises:
        FixInput: naming every fault with its place and its remedy.
    """
    path = _given_path(config, environ)
    file = _File.read(path)
    chosen = profile or environ.get("FLEXSYNC_PROFILE", "")
    faults: list[str] = []
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for item in [*file.items(chosen, faults), *_environment(environ), *_flags(flags, faults)]:
        _take(item, values, faults)
    if faults:
        raise FixInput("\n".join(faults))
    return _finish(values, flags.get("api_key"), environ, chosen, path)


def check_host(base_url: str, allow_http: tuple[str, ...] | list[str] = ()) -> str:
    """Make sure that the key may travel to `base_url`.

    Args:
        base_url: where the API is, with its ``/v1``.
        allow_http: hosts that may be spoken to without TLS (a cluster's inside).

    Returns:
        `base_url` without a trailing slash.

    Raises:
        FixInput: for plain http to any other host than loopback, credentials in the URL, or no URL at all.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise FixInput(f"base_url is not an address: {error}.", remedy=_URL_REMEDY) from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise FixInput(f"base_url for host {host!r} holds credentials.", remedy="Remove them: the key goes elsewhere.")
    if not host or parts.scheme not in {"http", "https"} or _BAD_URL.search(base_url) or parts.query or parts.fragment:
        raise FixInput(f"base_url {base_url!r} is not a plain http(s) address.", remedy=_URL_REMEDY)
    if parts.scheme == "http" and not _is_loopback(host) and host not in {name.lower() for name in allow_http}:
        raise FixInput(
            f"base_url {base_url!r} would send the key unencrypted to {host!r}.",
            remedy=f'Use https, or name the host: allow_http = ["{host}"] under [api].',
        )
    return base_url.rstrip("/")


_URL_REMEDY = f"Write it like {DEFAULT_BASE_URL}."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- the sources ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    """One value and the place it came from, for the message when it is wrong."""

    place: str
    section: str
    name: str
    value: Any


@dataclass(frozen=True)
class _File:
    """A TOML file and its text, because the parser keeps no line numbers."""

    path: Path | None
    text: str
    data: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> _File:
        if path is None:
            return cls(None, "", {})
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text, tomllib.loads(text))
        except OSError as error:
            raise FixInput(f"{path} cannot be read: {error.strerror}.", remedy="Name another file.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FixInput(f"{path} is not TOML: {error}.", remedy="Mend that line.") from None

    def items(self, profile: str, faults: list[str]) -> Iterator[_Item]:
        """The values of the file, those of the profile last."""
        profiles = self.data.get("profiles", {})
        plain = {name: table for name, table in self.data.items() if name != "profiles"}
        yield from self._sections("", plain, faults)
        if not isinstance(profiles, dict):
            faults.append(f"{self.place('', 'profiles')}: profiles is not a table. Write [profiles.NAME.api].")
            return
        for name, tables in profiles.items():  # all are checked: a fault in a sleeping profile is a fault
            found = list(self._sections(f"profiles.{name}.", tables, faults))
            yield from found if name == profile else ()
        if profile and profile not in profiles:
            where = f"{self.path}: " if self.path else ""
            faults.append(f"{where}there is no profile {profile!r}. {_nearest(profile, profiles)}")

    def _sections(self, prefix: str, tables: Any, faults: list[str]) -> Iterator[_Item]:
        for section, table in tables.items() if isinstance(tables, dict) else ():
            if section not in SECTIONS or not isinstance(table, dict):
                place = self.place(prefix.rstrip("."), section)
                faults.append(f"{place}: unknown section {prefix + section!r}. {_nearest(section, SECTIONS)}")
                continue
            for name, value in table.items():
                yield _Item(self.place(prefix + section, name), section, name, value)

    def place(self, table: str, name: str) -> str:
        """``file line N``: the line where `name` is set inside `[table]`, or where the table begins."""
        inside, best = "", 0
        for number, line in enumerate(self.text.splitlines(), 1):
            head = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
            if head:
                inside = re.sub(r"[\s\"']", "", head[1])
                if inside in {table, f"{table}.{name}".lstrip(".")}:
                    best = number
            key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            full = f"{inside}.{key[1]}".strip(".").replace('"', "").replace("'", "") if key else ""
            if full == f"{table}.{name}".lstrip("."):
                return f"{self.path} line {number}"
        return f"{self.path} line {best}" if best else f"{self.path}"


def _given_path(config: Path | str | None, environ: Mapping[str, str]) -> Path | None:
    named = config or environ.get("FLEXSYNC_CONFIG")
    return Path(named) if named else None


def _environment(environ: Mapping[str, str]) -> Iterator[_Item]:
    for variable, name in ENVIRONMENT.items():
        if environ.get(variable):
            yield _Item(f"environment variable {variable}", "api", name, environ[variable])


def _flags(flags: Mapping[str, Any], faults: list[str]) -> Iterator[_Item]:
    homes = {name: section for section, struct in SECTIONS.items() for name in _fields(struct)}
    for name, value in flags.items():
        if value is None or name == "api_key":
            continue
        place = f"flag --{name.replace('_', '-')}"
        if name in homes:
            yield _Item(place, homes[name], name, value)
        else:
            faults.append(f"{place}: unknown setting {name!r}. {_nearest(name, homes)}")


# --- one value --------------------------------------------------------------------------------------------------


def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(struct) if field.name != "key"}


def _take(item: _Item, values: dict[str, dict[str, Any]], faults: list[str]) -> None:
    fields = _fields(SECTIONS[item.section])
    if item.name in {"key", "api_key"}:
        faults.append(
            f"{item.place}: a key does not belong in a file. Remove the line (and make a new key if others could read"
            " it), then set the environment variable FLEXPRICE_API_KEY, or name another one with key_env."
        )
    elif item.name not in fields:
        faults.append(f"{item.place}: unknown setting {item.name!r} in [{item.section}]. {_nearest(item.name, fields)}")
    else:
        try:
            values[item.section][item.name] = _convert(fields[item.name].type, item.value)
        except ValueError as error:
            example = _example(fields[item.name])
            faults.append(f"{item.place}: {item.name} = {item.value!r} {error}. {example}")


def _convert(wanted: Any, value: Any) -> Any:
    if timedelta in (get_args(wanted) or (wanted,)):
        return value if isinstance(value, timedelta) else duration(value)
    if wanted is Path:
        value = str(value) if isinstance(value, Path) else value
        return Path(msgspec.convert(value, str))
    try:
        return msgspec.convert(list(value) if isinstance(value, tuple) else value, wanted)
    except msgspec.ValidationError as error:
        raise ValueError("does not fit: " + str(error).split(" - at")[0].replace("`", "").lower()) from None


def duration(value: Any) -> timedelta:
    """A length of time from ``90s``, ``15m``, ``2h``, ``7d`` or a sum like ``1h30m``. A bare number has no unit."""
    total, end = 0.0, 0
    for match in _DURATION.finditer(value) if isinstance(value, str) else ():
        if match.start() != end:
            break
        total, end = total + float(match[1]) * _UNITS[match[2]], match.end()
    if not isinstance(value, str) or not value or end != len(value):
        raise ValueError("is not a length of time")
    try:
        return timedelta(seconds=total)
    except OverflowError:
        raise ValueError("is too long a time") from None


def _example(field: msgspec.structs.FieldInfo) -> str:
    if timedelta in (get_args(field.type) or (field.type,)):
        return 'Write a number and a unit, like "90s", "15m", "2h" or "7d".'
    if field.name == "onboarding":
        return 'Write "skip", "run" or "run:NAME".'
    if field.default_factory is dict:
        return f'Write a table of texts, like {field.name} = {{"Company" = "name"}}.'
    if isinstance(field.default, tuple):
        return f'Write a list, like {field.name} = ["…"].'
    if field.default is None:
        return f"Write a number, like {field.name} = 100, or leave it out."
    default = field.default if isinstance(field.default, int | float) else f'"{field.default}"'
    return f"Write it like the default, {field.name} = {str(default).replace('True', 'true')}."


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known are: {', '.join(sorted(known))}." if known else "None is defined."


def _finish(
    values: dict[str, dict[str, Any]],
    given_key: str | Secret | None,
    environ: Mapping[str, str],
    profile: str,
    path: Path | None,
) -> Settings:
    api = Api(**values["api"])
    base_url = check_host(api.base_url, api.allow_http)
    if not re.fullmatch(r"(?!sk_)[A-Za-z_]\w*", api.key_env):  # somebody wrote the key there: do not print it
        raise FixInput(
            "key_env is not the name of an environment variable.",
            remedy="Write the variable's name there, like FLEXPRICE_API_KEY, never the key.",
        )
    key = given_key if given_key is not None else environ.get(api.key_env, "")
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", api.key_header):
        raise FixInput(f"key_header {api.key_header!r} is not a header name.", remedy="Leave it out for x-api-key.")
    return Settings(
        api=msgspec.structs.replace(api, base_url=base_url, key=_checked_key(key, api.key_env)),
        flow=Flow(**values["flow"]),
        sync=Sync(**values["sync"]),
        privacy=Privacy(**values["privacy"]),
        imports=Import(**values["import"]),
        profile=profile,
        config=path,
    )


def _checked_key(given: str | Secret, variable: str) -> Secret | None:
    text = (given.reveal() if isinstance(given, Secret) else given).strip()
    if _BAD_KEY.search(text):  # it could not travel in a header; the text itself is not shown
        raise FixInput(
            f"The key in {variable} holds a space or a character outside ASCII.",
            remedy="Copy it again, whole and alone.",
        )
    return Secret(text) if text else None
