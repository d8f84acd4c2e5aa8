"""Customers from a file into FlexPrice: read the file, plan the changes, apply the plan.

`account` (what FlexPrice holds) ← `file` (what the person wants) ← `plan` (the difference) ← `apply` (the writes): each
folder imports only those before it.

In: a CSV file, a workbook, a DataFrame or an Arrow table. Out: a plan file, a journal, results.
Never done here: a write that no plan shows; I/O with FlexPrice other than through the `send` that is passed in.
"""
