"""The plan: rows against the account, as entries that say what would change, doubts, guards, groups, the plan file.

In: `Rows`, and a `send` that reads. Out: `Entry`, batch by batch; `Guard`s; the largest `Group`s of like changes; a
plan file. Never done here: writing to FlexPrice; asking.
"""
