"""An account rebuilt from exchanges with a real server (tests/recorded).

In: a file of exchanges, one JSON object a line, and an empty account. Out: the account as it was when the first
request came. Answers then come from rebuilt plans, features, entitlements and subscriptions through the same code as
generated ones. Never done here: a stored answer that is sent back.
"""
