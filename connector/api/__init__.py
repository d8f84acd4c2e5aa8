"""The only door to FlexPrice, and the only folder that says httpx.

In: a `Call`. Out: a `Reply`, or one error of `connector.errors`. Modules: `calls` (requests as data), `answers` (what a
response means), `models` (typed objects); `flow` lets a call start, by the rules of `limits` (concurrency), `pacing`
(ceiling and pauses) and `budget` (deadline and number of calls); `retries` decides what follows a failure, `outages`
whether the server fails as a whole, and `recovery` what calls do until it answers again; `masking` takes the key out of
what comes back, and `freshness` tells answers that a cache has kept; `transport` is the wire; `client` puts them
together. `connector.clients` has the operations by name.

Never done here: paging, storing. This file imports nothing, so that pure modules can import `connector.api.calls`
without the client.
"""
