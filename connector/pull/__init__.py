"""What to ask, in which order, and whether it was all: pages, work items, fan-out, windows, the certificate.

In: a function that sends a call. Out: pages and results, and the arithmetic of cursors and completeness. Never done
here: I/O; SQL; reading a clock that is not handed in.
"""
