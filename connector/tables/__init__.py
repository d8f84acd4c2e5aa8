"""JSON to Arrow: every table's schema, declared once; units, decimals and timestamps are decided here and nowhere else.

In: `Answer`, a raw body and its context. Out: `Decoded`: Arrow tables, rejects and counts of unknown fields. Modules:
`columns` and `schemas` (what the tables are), `resources` (which call feeds which table), `shapes` and `bodies` (how a
JSON object is read), `raw_json` (what no decoder reads as a whole), `decode` (which list fills which table), `batch`
with `rows`, `arrays`, `extras` and `rejects` (from objects to Arrow), `decoded` (the result). Never done here: I/O.
"""
