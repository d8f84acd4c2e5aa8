"""A FlexPrice server to practise on: seeded data, real answers, faults by switch.

In: calls, in process (`Sandbox.answer`) or on a socket (`Sandbox.serving`, `Sandbox.running`), and changes from
outside the API (`Sandbox.create_customer` …). Out: what contract.md says of the customer routes, byte for byte.
Never done here: calling a server. No account and no internet is needed.

`nights` serves an account that lives a day whenever it is told to.

Imports fall one way: `sandbox` puts together `server` (admits, routes, delivers), `recorded` (an account from a
recording), `faults` (what goes wrong around a call), `routes` (what a call means) and `data` (the account).
"""

from connector.sandbox.clock import Clock
from connector.sandbox.faults.switches import Faults
from connector.sandbox.sandbox import Sandbox, run, serve
from connector.sandbox.server.access import Key

__all__ = ["Clock", "Faults", "Key", "Sandbox", "run", "serve"]
