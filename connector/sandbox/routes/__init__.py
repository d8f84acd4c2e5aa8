"""Routes: what each call means.

In: a routed, admitted `Call` and the account. Out: a `Reply`, or a `Refusal` with the server's error body. Reading a
request: `bodies`, `filters`, `rules`; lists: `conditions`, `query`, `listings`; writes: `writes`; and `handlers` has
one method a route of the table in `routes`. Never done here: keys, headers, faults, or how data is generated.
"""
