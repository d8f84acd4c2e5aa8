"""The working store: one DuckDB file with all tables and all state, one writer at a time.

In: pages and answers, from `pull`; certificates and import outcomes. Out: rows, counts, the work queue, and what a run
still has to do. Never done here: HTTP; deciding what to load; deciding which figures are suspicious (`pull` does).

- `store.py` is what jobs use: one method per step, one transaction each. `opening.py` has the file, lock and version.
- State of a run: `runs`, `cursors`, `walks`, `queue`, `findings`, `counts`.
- Listings: `listings` (pages), `gone` (rows that the server no longer has).
- Per-customer answers: `ingest` takes a batch; `batch`, `verdicts`, `zeros`, `suspects`, `rejects` (the quarantine),
  `replace`, `answers` are its steps. When the calls are over, `doubts` and `crosscheck` say which are made once more.
- Histories: `versions` and `figures` add to them, `asof` asks them, `keeping` removes what no question needs.
- Forgetting a customer: `holdings` finds what is personal, `erasure` writes the file anew without it, `tombstones` keep
  it blank.
- `evidence` has the facts for the certificate, `import_journal` the outcomes of imports.
- Below them all: `merge` (upserts), `ddl` (tables), `database` (the connection).
"""
