"""What to ask, in which order, and whether that was all.

In: a function that sends a call, and a clock. Out: pages of listings (`pages`), results of per-customer calls (`work`,
`fan_out`), the arithmetic of cursors and windows (`windows`), the verdict on a single figure (`suspicion`), on an
answer (`completeness`, `probes`) and on a whole run (`certificate`). Never done here: I/O; SQL; reading a clock that is
not handed in.
"""
