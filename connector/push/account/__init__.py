"""What FlexPrice holds: customers, their fingerprints, and which of them have a subscription.

In: identifiers, and a `send` that makes one call. Out: `Customer`, by identifier. Never done here: writing.
"""
