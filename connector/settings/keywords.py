"""The keywords of `flexsync.load` and `flexsync.read`: every setting with the types that it may be given in.

Written from `connector.settings.declarations` by `python tests/setting_keywords.py`: change that module, never this
one. docs/settings.md says what each means. None is "not given". Never done: checking, see `connector.settings.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict

from connector.settings.values import Secret

__all__ = ["LoadKeywords", "SettingKeywords"]


class SettingKeywords(TypedDict, total=False):
    """Keywords of `load`; a length of time is a `timedelta` or a text such as "15m"."""

    api_key: str | Secret | None
    base_url: str | None
    environment_id: str | None
    allow_http: tuple[str, ...] | list[str] | None
    key_env: str | None
    key_file: str | None
    key_header: str | None
    max_in_flight: int | None
    calls_per_second: float | None
    max_pause: timedelta | str | None
    deadline: timedelta | str | None
    max_calls: int | None
    attempts: int | None
    timeout: timedelta | str | None
    store: Path | str | None
    publish: tuple[str, ...] | list[str] | None
    publish_when: Literal["always", "green"] | None
    keep_green: bool | None
    full_every: timedelta | str | None
    overlap: timedelta | str | None
    resume_for: timedelta | str | None
    prune: bool | None
    audit_sample: int | None
    proof_windows: int | None
    analytics_probe: Literal["auto", "off"] | None
    only: tuple[str, ...] | list[str] | None
    exclude: tuple[str, ...] | list[str] | None
    history_in_duckdb: timedelta | str | None
    history_keep: timedelta | str | None
    mode: Literal["upsert", "create", "update"] | None
    match: Literal["external_id", "id"] | None
    metadata: Literal["merge", "replace"] | None
    onboarding: str | None
    encoding: str | None
    delimiter: str | None
    mapping: dict[str, str] | None
    constants: dict[str, str] | None
    unknown_columns: Literal["refuse", "leave", "metadata"] | None
    fix: tuple[str, ...] | list[str] | None
    accept: tuple[str, ...] | list[str] | None
    twins: bool | None
    max_share: float | None
    max_creates: int | None
    max_archives: int | None
    max_key_changes: int | None
    max_doubts: int | None
    max_field_share: float | None
    max_moved: int | None
    max_same: int | None
    max_age: timedelta | str | None
    max_failures: int | None
    neutralise: bool | None


class LoadKeywords(SettingKeywords, total=False):
    """Keywords of what loads settings by itself: those of `load`, and its sources."""

    config: Path | str | None
    profile: str | None
    environ: Mapping[str, str] | None
