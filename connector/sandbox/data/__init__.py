"""The invented account: seeded customers, subscriptions, usage, grants, and the state that calls change."""
