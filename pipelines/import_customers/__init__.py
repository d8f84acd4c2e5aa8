"""The import of customers: a file, a plan that shows every change, an apply that makes those changes and no others.

In: settings, a file, a confirmation. Out: a plan, a journal, results, as files beside each other. Promised: `plan` only
reads; `apply` writes what the plan shows, once it is confirmed as its guards ask; where a plan fails, nothing is moved,
and the older plan that keeps its name is told. Never done here: HTTP, deciding, printing.
"""

from __future__ import annotations

from pipelines.confirm import Confirmed
from pipelines.import_customers.applied import Applied
from pipelines.import_customers.applying import apply
from pipelines.import_customers.planned import KINDS, Planned, shown_kinds
from pipelines.import_customers.planning import plan
from pipelines.import_customers.undoing import undo_run

__all__ = ["KINDS", "Applied", "Confirmed", "Planned", "apply", "plan", "shown_kinds", "undo_run"]
