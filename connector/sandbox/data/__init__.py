"""The account: who its customers are, what they are subscribed to, and what they used.

In: a seed, a size and a base time; then changes, all through `Account.apply`. Out: rows and answers as the server's
JSON objects. One seed gives one account on every date: only moments, and the time part of ids, follow the clock.
`catalog`, `customers` and `subscriptions` compute what nobody wrote; `table` keeps rows and sorted orders;
`usage`, `entitlements` and `grants` say what a customer has. Never here: requests, keys, status codes, faults.
"""
