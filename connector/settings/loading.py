"""Put all sources together: flags over environment over profile over file over defaults.

Promised: one error lists every fault, each with its place and a remedy; the key is never part of a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Unpack, get_args

import msgspec

from connector.errors import FixInput
from connector.settings.declarations import (
    SECTIONS,
    Api,
    Flow,
    History,
    Import,
    Privacy,
    Settings,
    Sync,
)
from connector.settings.hosts import check_host
from connector.settings.keywords import SettingKeywords
from connector.settings.setting import Setting, settable_in
from connector.settings.sources import File, Given, from_environment, from_flags, nearest
from connector.settings.values import Environment, Secret, checked_key, duration, masked

__all__ = ["load"]

_VARIABLE = re.compile(r"(?!sk_)[A-Za-z_]\w*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
Values = dict[str, dict[str, Any]]  # section -> setting -> checked value


def load(
    config: Path | str | None = None,
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
    **flags: Unpack[SettingKeywords],
) -> Settings:
    """Put all sources together; `api.base_url` has passed `check_host` and ends without a slash.

    Args:
        config: the TOML file; by default the one that FLEXSYNC_CONFIG names, if any.
        profile: the ``[profiles.NAME]`` to lay over the file; by default FLEXSYNC_PROFILE.
        environ: the environment to read; None for this process's own.
        **flags: `api_key`, and any setting by its name, such as base_url, max_in_flight or store (docs/settings.md has
            all; names are unique over the sections); None means "not given".

    Raises:
        FixInput: naming every fault with its place and its remedy.
    """
    environ = Environment(os.environ if environ is None else environ)
    given_key = flags["api_key"] = masked(flags.get("api_key"))
    named = config or environ.get("FLEXSYNC_CONFIG")
    file = File.read(path := Path(named) if named else None)
    chosen = profile or environ.get("FLEXSYNC_PROFILE", "")
    faults: list[str] = []
    values: Values = {section: {} for section in SECTIONS}
    for given in [*file.given(chosen, faults), *from_environment(environ), *from_flags(flags, faults)]:
        _take(given, values, faults)
    if faults:
        raise FixInput("\n".join(faults))
    return Settings(
        api=_api(values["api"], given_key, environ),
        flow=Flow(**values["flow"]),
        sync=Sync(**values["sync"]),
        privacy=Privacy(**values["privacy"]),
        history=History(**values["history"]),
        imports=Import(**values["import"]),
        profile=chosen,
        config=path,
    )


# --- one value --------------------------------------------------------------------------------------------------


def _take(given: Given, values: Values, faults: list[str]) -> None:
    known = settable_in(SECTIONS[given.section])
    if given.name in {"key", "api_key"}:
        faults.append(
            f"{given.place}: a key does not belong in a file. Remove the line (and make a new key if others could read"
            " it), then set the environment variable FLEXPRICE_API_KEY, or name another one with key_env."
        )
    elif given.name not in known:
        faults.append(
            f"{given.place}: unknown setting {given.name!r} in [{given.section}]. {nearest(given.name, known)}"
        )
    else:
        setting = known[given.name]
        try:
            values[given.section][given.name] = _convert(setting, given.value)
        except ValueError as error:
            faults.append(f"{given.place}: {given.name} = {given.value!r} {error}. {_example(setting)}")


def _convert(setting: Setting, value: Any) -> Any:
    if _is_duration(setting):
        return value if isinstance(value, timedelta) or value in _words(setting) else duration(value)
    if setting.type is Path:
        value = str(value) if isinstance(value, Path) else value
        return Path(msgspec.convert(value, str))
    try:
        return msgspec.convert(list(value) if isinstance(value, tuple) else value, setting.annotation)
    except msgspec.ValidationError as error:
        raise ValueError("does not fit: " + str(error).split(" - at")[0].replace("`", "").lower()) from None


def _is_duration(setting: Setting) -> bool:
    return timedelta in (get_args(setting.type) or (setting.type,))


def _words(setting: Setting) -> tuple[str, ...]:
    """Return the words that may stand in place of a length of time."""
    return tuple(word for kind in get_args(setting.type) for word in get_args(kind))


def _example(setting: Setting) -> str:
    name, default = setting.name, setting.default
    if _is_duration(setting):
        words = "".join(f', or "{word}"' for word in _words(setting))
        return f'Write a number and a unit, like "90s", "15m", "2h" or "7d"{words}.'
    if name == "onboarding":
        return 'Write "skip", "run" or "run:NAME".'
    if isinstance(default, dict):
        return f'Write a table of texts, like {name} = {{"Company" = "name"}}.'
    if isinstance(default, tuple):
        return f'Write a list, like {name} = ["…"].'
    if default is None:
        return f"Write a number, like {name} = 100, or leave it out."
    shown = str(default).replace("True", "true") if isinstance(default, int | float) else f'"{default}"'
    return f"Write it like the default, {name} = {shown}."


# --- the account ------------------------------------------------------------------------------------------------


def _api(values: dict[str, Any], given_key: Secret | None, environ: Environment) -> Api:
    api = Api(**values)
    base_url = check_host(api.base_url, api.allow_http)
    if not _VARIABLE.fullmatch(api.key_env):  # it may be the key itself: do not print it
        raise FixInput(
            "key_env is not the name of an environment variable.",
            remedy="Write the variable's name there, like FLEXPRICE_API_KEY, never the key.",
        )
    key = Secret(environ.get(api.key_env, "")) if given_key is None else given_key
    if not _HEADER.fullmatch(api.key_header):
        raise FixInput(f"key_header {api.key_header!r} is not a header name.", remedy="Leave it out for x-api-key.")
    return msgspec.structs.replace(api, base_url=base_url, key=checked_key(key, api.key_env) or None)
