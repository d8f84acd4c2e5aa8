"""The working store, one DuckDB file: rows, cursors, queue, answers and ledger land in one transaction.

In: pages and results of calls. Out: rows, counts, what a run still owes. Never done here: HTTP; deciding what to ask.
"""
