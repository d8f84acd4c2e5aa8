"""The person's file: bytes → records → rows, with every fault, its line and its remedy; and an account as such a file.

`source` and `encoding` make text of bytes, `lines` and `delimited` (or `tabular`, or `excel`) make records, `columns`
finds the field of each header (`headers`, `synonyms`), `parser` makes a row of each record with the checks in `rules`
and the proposals in `advice`, `duplicates` compares rows, `damage` knows what spoils values (`signs`, `rewritten`),
`marks` what a workbook's cell is besides its text, and `folding` what rewrites ids.

In: a path (text or a workbook), standard input, a DataFrame or an Arrow table. Out: `Rows` of `Row`, with `Fault`s; for
an export, lines of CSV. Never done here: writing to FlexPrice; changing a value, unless a person named the kind of
proposal.
"""
