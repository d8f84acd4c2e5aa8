"""A sheet of an Excel workbook as records with physical rows, and what of it the eye sees otherwise.

`package` examines the ZIP archive, `sheets` lists and chooses, `scan` reads what calamine does not tell (errors,
formulas without a result, numbers as they are written, what is hidden or merged), `styles` and `texts` make text of
values, `grid` puts both together, `workbook` is the table that the rows are read from.

In: a file. Out: records and notes. Promised: a workbook is untrusted input: its parts are measured before they are
read, no entity is expanded, and no size that it claims is allocated unseen. Never done here: evaluating a formula;
following a link; writing.
"""
