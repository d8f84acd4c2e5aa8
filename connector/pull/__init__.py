"""What to ask, in which order, and whether that was all.

In: a function that sends a call, and a clock. Out: pages of listings (`pages`, `offsets`, `page`, `listing_rows`) and
where their walks start (`watermarks`), results of per-customer calls (`work`, `fan_out`), the verdict on a single
figure (`suspicion`), on an answer (`completeness`, `probes`, `absence`) and on a whole run (`certificate`,
`proof_windows`); runs (`windows`) and what they found out (`findings`). Never done here: I/O; SQL; reading a clock that
is not handed in.
"""
