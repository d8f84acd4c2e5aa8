"""Every setting, declared once: type, default, meaning, and its flag and environment variable where it has one.

The loader, the error messages and ``docs/settings.md`` read these declarations. A name is unique over all sections, so
that a flag needs no section. Never done here: reading a source.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from connector.errors import FixInput
from connector.settings.key_file import read_key
from connector.settings.setting import about
from connector.settings.values import Secret, checked_key

__all__ = [
    "DEFAULT_BASE_URL",
    "SECTIONS",
    "Api",
    "Flow",
    "History",
    "Import",
    "Privacy",
    "Settings",
    "Sync",
]

DEFAULT_BASE_URL = "https://us.api.flexprice.io/v1"  # the default of both SDKs (contract.md 1.1)

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
NotNegative: TypeAlias = Annotated[int, Meta(ge=0)]
Span: TypeAlias = timedelta | Literal["all"]


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """[api]: which account to call, and how to reach it."""

    base_url: Annotated[
        str,
        about("Address of the API, with its `/v1`.", flag="--base-url", variable="FLEXPRICE_BASE_URL"),
    ] = DEFAULT_BASE_URL
    environment_id: Annotated[
        str,
        about(
            "Account environment, sent as `X-Environment-ID`. Only for keys that are bound to no environment.",
            flag="--environment-id",
            variable="FLEXPRICE_ENVIRONMENT_ID",
        ),
    ] = ""
    allow_http: Annotated[
        tuple[str, ...],
        about("Hosts that may be called without TLS, such as a host inside a cluster. Loopback always may."),
    ] = ()
    key_env: Annotated[str, about("Name of the environment variable that holds the API key.")] = "FLEXPRICE_API_KEY"
    key_file: Annotated[
        str,
        about(
            "File that holds the API key, for where `key_env` is not set: a secret that Docker or Kubernetes mounts."
            " Others must have no rights to it (mode 0600 or 0400).",
            variable="FLEXPRICE_API_KEY_FILE",
        ),
    ] = ""
    key_header: Annotated[str, about("Name of the HTTP header that carries the API key.")] = "x-api-key"
    key: Annotated[
        Secret | None,
        about(
            "The API key. Never in a settings file: in the variable that `key_env` names, or in `key_file`.",
            variable="FLEXPRICE_API_KEY",
        ),
    ] = None

    @property
    def key_source(self) -> str:
        """Where the key comes from, in words."""
        from_file = self.key_file and not self.key
        return f"the file {self.key_file}" if from_file else f"the variable {self.key_env}"


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """[flow]: how many calls at once, how fast, and when to stop."""

    max_in_flight: Annotated[
        Positive,
        about(
            "Calls in flight at most, over all endpoints. Each endpoint finds its own limit below it.",
            flag="--max-in-flight",
        ),
    ] = 32
    calls_per_second: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        about(
            "Calls started per second at most. Without it, the server's own pace decides.", flag="--calls-per-second"
        ),
    ] = None
    max_pause: Annotated[
        timedelta,
        about(
            "Longest wait for a server that fails as a whole, or asks for a pause (`Retry-After`). A longer one ends"
            " the run; its state is kept."
        ),
    ] = timedelta(minutes=15)
    deadline: Annotated[
        timedelta | None, about("Time limit of one run. Committed rows are kept.", flag="--deadline")
    ] = timedelta(hours=12)
    max_calls: Annotated[
        Positive | None,
        about("HTTP exchanges of one run at most, retries included. Without it there is no limit.", flag="--max-calls"),
    ] = None
    attempts: Annotated[
        Positive,
        about("Attempts of one call at most. Pauses that the server asks for do not count."),
    ] = 6
    timeout: Annotated[timedelta, about("Time limit of one attempt, response body included.")] = timedelta(seconds=60)


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """[sync]: what is copied, where to, and how fresh it is kept."""

    store: Annotated[Path, about("The working store, a DuckDB file.", flag="--store")] = Path("flexsync.duckdb")
    publish: Annotated[
        tuple[str, ...],
        about("Publications to write after a run, each `duckdb:PATH` or `parquet:PATH`.", flag="--publish"),
    ] = ()
    publish_when: Annotated[
        Literal["always", "green"],
        about(
            "`always` publishes every run; `green` keeps the last complete publication when a run is degraded.",
            flag="--publish-when",
        ),
    ] = "always"
    keep_green: Annotated[
        bool,
        about("Keep the last green publication readable beside a degraded one: `flexsync sql --green`."),
    ] = True
    full_every: Annotated[timedelta, about("How often a run reads every row again, whatever its `updated_at`.")] = (
        timedelta(days=7)
    )
    overlap: Annotated[
        timedelta, about("How far before the cursor a run starts to read, because a row can become visible late.")
    ] = timedelta(minutes=10)
    resume_for: Annotated[
        timedelta, about("How long an interrupted run can be resumed. Afterwards a new one begins.")
    ] = timedelta(hours=24)
    prune: Annotated[
        bool,
        about("Call only customers that have an active or trialing subscription.", flag="--no-prune"),
    ] = True
    audit_sample: Annotated[
        NotNegative,
        about("Customers outside of those that a run calls all the same, to check that `prune` misses nothing."),
    ] = 50
    proof_windows: Annotated[
        Positive,
        about(
            "Windows of `created_at` in which the certificate compares its counts with the server's, at most. Fewer"
            " where counting is slow or few calls are made; the boundaries are drawn anew for each run."
        ),
    ] = 16
    analytics_probe: Annotated[
        Literal["auto", "off"],
        about(
            "`auto` asks `GET /events` every few seconds while usage is read: it fails when the analytics store is"
            " down and usage reads zero. `off` for a server where that call fails for other reasons."
        ),
    ] = "auto"
    only: Annotated[tuple[str, ...], about("Resources to sync. Empty means all.", flag="--only")] = ()


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """[import]: how a file of customers is read, what needs a second confirmation, and how a plan is applied."""

    mode: Annotated[
        Literal["upsert", "create", "update"],
        about(
            "`upsert` creates and updates. `create` makes an existing customer a conflict, `update` a missing one.",
            flag="--mode",
        ),
    ] = "upsert"
    match: Annotated[
        Literal["external_id", "id"],
        about(
            "Column that identifies a customer. `id` is the server's; with it `external_id` can change.", flag="--match"
        ),
    ] = "external_id"
    metadata: Annotated[
        Literal["merge", "replace"],
        about("`merge` keeps metadata keys that the file does not name; `replace` removes them.", flag="--metadata"),
    ] = "merge"
    onboarding: Annotated[
        str,
        Meta(pattern="^(|skip|run|run:.+)$"),
        about(
            "Whether a create starts the account's onboarding workflow: `skip`, `run` or `run:NAME`. Required for a"
            " plan that creates customers.",
            flag="--onboarding",
        ),
    ] = ""
    encoding: Annotated[
        str, about("Encoding of the file, such as `cp1252`. Empty: detected and shown.", flag="--encoding")
    ] = ""
    delimiter: Annotated[str, about("Delimiter of the file. Empty: detected and shown.", flag="--delimiter")] = ""
    mapping: Annotated[dict[str, str], about('The file\'s header = the field. `""` leaves a column out.')] = {}
    constants: Annotated[dict[str, str], about("Values for fields that the file has no column for.")] = {}
    unknown_columns: Annotated[
        Literal["refuse", "leave", "metadata"],
        about("A column that is no field: `refuse` the file, `leave` it out, or keep it as `metadata`.",
               flag="--unknown-columns"),
    ] = "refuse"  # fmt: skip
    fix: Annotated[
        tuple[str, ...],
        about("Certain proposals to take: `trim`, `country`, `timezone`, `email`, `id-spaces`.", flag="--fix"),
    ] = ()
    accept: Annotated[
        tuple[str, ...], about("Kinds of doubt whose rows are not held for a decision.", flag="--accept")
    ] = ()
    twins: Annotated[
        bool, about("Compare new external_ids with all of the account: a call for 1,000.", flag="--no-twins")
    ] = True
    max_share: Annotated[
        float,
        Meta(ge=0, le=1),
        about(
            "Share of existing customers that a plan may change, 0 to 1. Above it, apply needs `--yes-really COUNT`."
        ),
    ] = 0.3
    max_creates: Annotated[
        NotNegative, about("Creates that a plan may hold. Above it, apply needs `--yes-really COUNT`.")
    ] = 1000
    max_archives: Annotated[
        NotNegative,
        about("Archives that a plan may hold. Above it, apply needs `--yes-archive COUNT` and `--yes-really COUNT`."),
    ] = 0
    max_key_changes: Annotated[
        NotNegative,
        about("Changes of `external_id` that a plan may hold. Above it, apply needs `--yes-really COUNT`."),
    ] = 0
    max_doubts: Annotated[
        NotNegative,
        about("Rows with a doubt that `accept` lets pass. Above it, apply needs `--yes-really COUNT`."),
    ] = 0
    max_field_share: Annotated[
        float,
        Meta(ge=0, le=1),
        about(
            "Share of existing customers of which a plan may replace the same field, 0 to 1; twenty are always allowed."
            " Above it, apply needs `--yes-really COUNT`."
        ),
    ] = 0.2
    max_moved: Annotated[
        NotNegative,
        about(
            "Customers that may take a value that another one has today, as by a shifted column. Above it, apply needs"
            " `--yes-really COUNT`."
        ),
    ] = 10
    max_same: Annotated[
        NotNegative,
        about("Customers that may get one and the same name, or e-mail. Above it, apply needs `--yes-really COUNT`."),
    ] = 20
    max_age: Annotated[
        timedelta, about("Age of a plan when it is applied. Above it, apply needs `--yes-really COUNT`.")
    ] = timedelta(hours=24)
    max_failures: Annotated[Positive, about("Refused rows that end an apply.", flag="--max-failures")] = 50
    neutralise: Annotated[
        bool,
        about(
            "Put a quote before cells that a spreadsheet would run as a formula, in results.csv and the plan's page."
        ),
    ] = True


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """[privacy]: what publications leave out."""

    exclude: Annotated[tuple[str, ...], about("Columns that publications leave out, each `table.column`.")] = ()


class History(msgspec.Struct, frozen=True, kw_only=True):
    """[history]: how far back the store and its publications answer what was true, and what was known."""

    history_in_duckdb: Annotated[
        Span,
        about(
            "How far back a DuckDB publication can be asked: it holds what is open, and what ended later than that."
            ' `"0d"` holds what is open, `"all"` as much as the store.'
        ),
    ] = timedelta(days=35)
    history_keep: Annotated[
        Span,
        about(
            "How far back the store and a Parquet lake can be asked. A run removes versions and figures that ended"
            ' before that, never an open one. `"0d"` keeps what is open, `"all"` everything.'
        ),
    ] = timedelta(days=400)

    def since(self, now: datetime) -> datetime | None:
        """Return from when on the store and a lake can be asked; None: from the first run on."""
        return _before(now, self.history_keep)

    def since_in_duckdb(self, now: datetime) -> datetime | None:
        """Return from when on a DuckDB publication can be asked; None: from the first run on."""
        spans = [span for span in (self.history_in_duckdb, self.history_keep) if span != "all"]
        return _before(now, min(spans) if spans else "all")


def _before(now: datetime, span: Span) -> datetime | None:
    try:
        return None if span == "all" else now - span
    except OverflowError:  # before the year 1
        return None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a job needs to know, decided once.

    Attributes:
        api: see `Api`.
        flow: see `Flow`.
        sync: see `Sync`.
        privacy: see `Privacy`.
        history: see `History`.
        imports: see `Import`.
        profile: the account environment that was chosen, or "".
        config: the file that was read, or None.
    """

    api: Api = Api()
    flow: Flow = Flow()
    sync: Sync = Sync()
    privacy: Privacy = Privacy()
    history: History = History()
    imports: Import = Import()
    profile: Annotated[
        str,
        about(
            "The `[profiles.NAME]` to lay over the file: one account environment.",
            flag="--profile",
            variable="FLEXSYNC_PROFILE",
        ),
    ] = ""
    config: Annotated[Path | None, about("The TOML file to read.", flag="--config", variable="FLEXSYNC_CONFIG")] = None

    def require_key(self) -> Secret:
        """Return the API key.

        Raises:
            FixInput: there is none; the message says how to set it. The file of the key cannot be read, or is open to
                others.
        """
        if self.api.key:
            return self.api.key
        if self.api.key_file:
            return checked_key(read_key(self.api.key_file), f"file {self.api.key_file}")
        raise FixInput(
            f"No API key: the environment variable {self.api.key_env} is not set.",
            remedy=f"Set it (export {self.api.key_env}=sk_…), or name a key_file; `flexsync demo` needs no key.",
        )


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "api": Api,
    "flow": Flow,
    "sync": Sync,
    "privacy": Privacy,
    "history": History,
    "import": Import,
}
