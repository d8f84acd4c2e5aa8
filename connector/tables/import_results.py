"""The columns of an import's results: what happened to each row of the file.

The results file, its Parquet form and the store's `flexsync.import_journal` are all made from `COLUMNS`. Never done:
reading or writing results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("line", "external_id", "id", "do", "outcome", "why", "changes", "request_id")


def schema() -> pa.Schema:
    """Return the Arrow schema of the results; all columns are text but `line`."""
    import pyarrow as pa

    return pa.schema([(name, pa.int64() if name == "line" else pa.string()) for name in COLUMNS])
