"""The clients for programs: the ten operations of the customers API by name, with and without an event loop.

In: settings, and keywords that an editor knows. Out: typed results, which are Arrow tables and DataFrames on request
(`models`), or customers one by one (`walking`). Modules: `keywords` (what the operations take), `calling` (what is
refused before a call, and earlier call forms), `asking` (one call, one typed answer), `customers`, `listings` and
`allowances` (the operations, for asyncio), `asynchronous` (`AsyncFlexprice`). `blocking` (`Flexprice`) waits for every
answer; its operations, in `blocking_customers`, `blocking_listings` and `blocking_allowances`, are written from the
others by `python tests/twins.py`, so that both clients have the same signatures and docstrings.

Never done here: HTTP and retries (see `connector.api`), deciding where a listing ends (see `connector.pull`).
"""
