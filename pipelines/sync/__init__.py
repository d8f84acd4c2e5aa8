"""The sync: list the account, call per customer, close, prove, publish.

In: an open client, an open store, the [sync] settings and the options of one run. Out: the store one run further, a
`Report` with the completeness certificate, and publications. Never done here: HTTP, SQL, decoding, reading settings.

- `run`: the order of the steps, and how a run ends.
- `beginning`: the server's clock and environment; a new run, or the interrupted one again.
- `listing`: customers and subscriptions.
- `calling`: usage, entitlements and grants, by a fan-out over the work queue.
- `closing`: what changed since the run began.
- `undone`: edits that the server has lost.
- `linking`: integrations that answers left out.
- `doubting`: second calls, and which doubts stay.
- `proving`: the completeness certificate.
- `publishing`: what readers open.

Below them: `session` (what the steps share), `walks` (commits the pages of a listing), `lookup` (rows by their ids),
`probing` (whether the server's analytics store is up), `moments` (which answers an outage touched, which zeros no probe
vouches for).
"""

from pipelines.sync.publishing import publish_all
from pipelines.sync.run import Options, Sync

__all__ = ["Options", "Sync", "publish_all"]
