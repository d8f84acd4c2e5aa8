"""Where settings are given: a TOML file with its profiles, the environment, and flags.

In: a path, the environment, flags. Out: `Given`, one value and the place where it was set. Never done here: deciding
which source wins, checking a value.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.errors import FixInput
from connector.settings.declarations import SECTIONS
from connector.settings.setting import settable_in

__all__ = ["File", "Given", "from_environment", "from_flags", "nearest"]


@dataclass(frozen=True)
class Given:
    """One value, and the place where it was set, for the message when it is wrong."""

    place: str
    section: str
    name: str
    value: Any


@dataclass(frozen=True)
class File:
    """A TOML file. The text is kept because the parser reports no line numbers."""

    path: Path | None
    text: str
    data: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> File:
        """Read and parse the file; an empty one without `path`.

        Raises:
            FixInput: the file cannot be read, or is not TOML.
        """
        if path is None:
            return cls(None, "", {})
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text, tomllib.loads(text))
        except OSError as error:
            raise FixInput(f"{path} cannot be read: {error.strerror}.", remedy="Name another file.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FixInput(f"{path} is not TOML: {error}.", remedy="Correct that line.") from None

    def given(self, profile: str, faults: list[str]) -> Iterator[Given]:
        """Yield the values of the file, those of the profile last; append what is wrong to `faults`."""
        profiles = self.data.get("profiles", {})
        plain = {name: table for name, table in self.data.items() if name != "profiles"}
        yield from self._sections("", plain, faults)
        if not isinstance(profiles, dict):
            faults.append(f"{self._place('', 'profiles')}: profiles is not a table. Write [profiles.NAME.api].")
            return
        for name, tables in profiles.items():  # profiles that are not in use are checked as well
            found = list(self._sections(f"profiles.{name}.", tables, faults))
            yield from found if name == profile else ()
        if profile and profile not in profiles:
            where = f"{self.path}: " if self.path else ""
            faults.append(f"{where}there is no profile {profile!r}. {nearest(profile, profiles)}")

    def _sections(self, prefix: str, tables: Any, faults: list[str]) -> Iterator[Given]:
        for section, table in tables.items() if isinstance(tables, dict) else ():
            if section not in SECTIONS or not isinstance(table, dict):
                place = self._place(prefix.rstrip("."), section)
                faults.append(f"{place}: unknown section {prefix + section!r}. {nearest(section, SECTIONS)}")
                continue
            for name, value in table.items():
                yield Given(self._place(prefix + section, name), section, name, value)

    def _place(self, table: str, name: str) -> str:
        """``file line N``: the line that sets `name` inside `[table]`, or the line where the table begins."""
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


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield the settings that environment variables set. The key is not one of them: `key_env` names its variable."""
    for section, struct in SECTIONS.items():
        for name, setting in settable_in(struct).items():
            if setting.variable and environ.get(setting.variable):
                place = f"environment variable {setting.variable}"
                yield Given(place, section, name, environ[setting.variable])


def from_flags(flags: Mapping[str, Any], faults: list[str]) -> Iterator[Given]:
    """Yield the settings that flags set; None means that a flag was not given. Unknown names go to `faults`."""
    homes = {name: section for section, struct in SECTIONS.items() for name in settable_in(struct)}
    for name, value in flags.items():
        if value is None or name == "api_key":
            continue
        place = f"flag --{name.replace('_', '-')}"
        if name in homes:
            yield Given(place, homes[name], name, value)
        else:
            faults.append(f"{place}: unknown setting {name!r}. {nearest(name, homes)}")


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """Return a sentence that names the known name closest to `name`, or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known are: {', '.join(sorted(known))}." if known else "None is defined."
