"""The account: its customers, their subscriptions, and what they used.

In: a seed, a size and a base time; then changes, all through `Account.apply`. Out: rows and answers as the server's
JSON objects. One seed gives one account on every date: only moments, and the time part of ids, follow the clock.
`catalog`, `customers` and `subscriptions` generate rows; `table` keeps written ones and sorted orders; `usage`,
`entitlements` and `grants` build what one customer has; `life` makes the days between nights, with `growth` and
`renewals`. Never done here: requests, keys, status codes, faults.
"""
