"""How rows find their customers, and what happens to stored metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How rows are matched and merged.

    Attributes:
        mode: upsert, create (existing customers are conflicts) or update (missing customers are conflicts).
        match: external_id or id.
        metadata: merge with what the server holds, or replace it.
    """

    mode: Literal["upsert", "create", "update"] = "upsert"
    match: Literal["external_id", "id"] = "external_id"
    metadata: Literal["merge", "replace"] = "merge"
