"""The apply: check each customer again, write the intent to the journal, send, read back, settle; and the way back.

`apply` runs the loop, `verdict` decides what to do with a row from its `drift`, `sender` sends `requests`, `outcomes`
settles rows in the `journal`.

In: a checked plan, a `send`. Out: a journal, a tally, `rejected.csv`, results; for an undo, entries of a new plan.
Never done here: a write that the plan does not show; HTTP.
"""
