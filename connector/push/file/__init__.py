"""The person's file: bytes → records → rows, with every fault, its line and its remedy; and an account as such a file.

`source` and `encoding` make text of bytes, `lines` and `delimited` (or `tabular`) make records, `columns` finds the
field of each header, `parser` makes a row of each record with the checks in `rules`, `duplicates` compares rows.

In: a path, standard input, a DataFrame or an Arrow table. Out: `Rows` of `Row`, with `Fault`s; for an export, lines of
CSV. Never done here: writing to FlexPrice; changing a value.
"""
