"""Every setting from every source, as one frozen `Settings`. The only reader of ``configs/*.toml`` and the environment.

In: flags, the environment, one TOML file. Out: `Settings`. Modules: `declarations` (each setting once: type, default,
meaning, flag, environment variable), `values` (durations and secrets), `hosts` (where the key may travel), `sources`
(a value and the place where it was set), `setting` (what a declaration says), `loading` (which source wins). To add a
setting, add one line to `declarations`.

Promised: flags win over the environment, the environment over the chosen profile, the profile over the rest of the
file, the file over defaults. One error lists every fault, each with its place, the nearest known name and a remedy.
The key comes from the environment, from the calling program or from a file of its own that others cannot read
(`key_file`), and lives in a `Secret`. Never done here: network calls, writing, accepting a key in a settings file,
looking for a file that ``--config`` or ``FLEXSYNC_CONFIG`` did not name.
"""

from connector.settings.declarations import (
    DEFAULT_BASE_URL,
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
from connector.settings.loading import load
from connector.settings.values import Secret, duration, masked

__all__ = [
    "DEFAULT_BASE_URL",
    "SECTIONS",
    "Api",
    "Flow",
    "History",
    "Import",
    "Privacy",
    "Secret",
    "Settings",
    "Sync",
    "check_host",
    "duration",
    "load",
    "masked",
]
