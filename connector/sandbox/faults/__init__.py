"""Fault injection: what goes wrong, by switch.

In: the switches that a user sets (`Faults`), and each routed call with a function that gives the server's own answer.
Out: that answer, changed, replaced, late or cut; list requests that are read differently; an account that lags or
commits late. Never done here: what a correct answer says (`routes`, `data`), or how bytes are sent (`server`).

A fault is a field of `switches.Faults` and one function in the module of its moment. Each function gets a `draw.Draw`:
the switches, the route's name, and seeded draws.

- `early`: an answer in place of the server's (429, 502, a cut connection);
- `requests`: a list request that the server reads differently (old servers, chance);
- `answers`: a successful answer that says something else (zeros, missing features, wrong types);
- `pages`: a list answer that holds less than was asked for (capped pages, no total);
- `delivery`: an answer that comes late, in pieces, torn, or not at all;
- `outages`: a store of the server that is down, from a call on or by hand;
- `modes`: a state of the account for as long as the switch is on (replica lag, caches, late commits);
- `churn`: changes in the background.
"""
