"""JSON to Arrow: every table's schema, declared once; units, decimals and timestamps are decided here and nowhere else.

In: raw bodies. Out: Arrow tables, rejects and unknown fields. Never done here: I/O.
"""
