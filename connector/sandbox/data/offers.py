"""The features and plans of a generated account, one row each.

Promises all four feature types, every aggregation and reset period, and a plan and an add-on that feed one
feature in parallel. Only `catalog` reads this module.
"""

from __future__ import annotations

from connector.sandbox.replies import Json

__all__ = ["FEATURES", "PLANS"]

FEATURES: tuple[tuple[str, str, str, Json], ...] = (
    ("api_calls", "API calls", "metered", {"aggregation": {"type": "COUNT"}, "units": ("call", "calls")}),
    ("storage_gb", "Storage", "metered", {"aggregation": {"type": "SUM", "field": "gb"}, "units": ("GB", "GB")}),
    ("compute_s", "Compute", "metered", {"aggregation": {"type": "SUM", "field": "seconds"}, "reset_usage": "NEVER"}),
    ("seats", "Seats", "metered", {"aggregation": {"type": "MAX", "field": "seats"}, "metadata": {"team": "ü"}}),
    ("active_users", "Active users", "metered", {"aggregation": {"type": "COUNT_UNIQUE", "field": "user_id"},
        "filters": [{"key": "region", "values": ["eu", "us"]}]}),
    ("balance", "Balance <net>", "metered", {"aggregation": {"type": "LATEST", "field": "v"}}),
    ("tokens", "Tokens", "metered", {
        "aggregation": {"type": "SUM_WITH_MULTIPLIER", "field": "n", "multiplier": "0.001"},
        "reporting_unit": {"unit_singular": "k token", "unit_plural": "k tokens", "conversion_rate": "0.001"}}),
    ("credits", "Render credits", "metered", {"aggregation": {"type": "SUM", "expression": "a * b"}}),
    ("load", "Load", "metered", {"aggregation": {"type": "WEIGHTED_SUM", "field": "w", "bucket_size": "HOUR"}}),
    ("latency", "Latency", "metered", {"aggregation": {"type": "AVG", "field": "ms", "group_by": "route"},
        "alert_settings": {"critical": {"threshold": "250.5", "condition": "above"}, "warning": None, "info": None,
        "alert_enabled": True}}),
    ("sso", "SSO", "boolean", {}),
    ("audit_log", "Audit log", "boolean", {
        "description": "Who did what & when", "group_id": "group_01J0000000000000000000001"}),
    ("support", "Support tier", "static", {}),
    ("regions", "Region policy", "config", {}),
)  # fmt: skip

PLANS: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, Json], ...]], ...] = (
    ("Starter", ("12.5",), (
        ("api_calls", {"usage_limit": 1000, "reset": "MONTHLY"}), ("storage_gb", {"usage_limit": 5, "reset": "DAILY"}),
        ("support", {"static": "email"}), ("regions", {"config": {"allow": ["eu"], "depth": {"n": 0, "x": 1.25}}}))),
    ("Team", ("100",), (
        ("api_calls", {"usage_limit": 50_000, "reset": "MONTHLY", "soft": True}),
        ("storage_gb", {"usage_limit": 500, "reset": "DAILY"}), ("seats", {"usage_limit": 25, "reset": "MONTHLY"}),
        ("tokens", {"reset": "QUARTERLY"}), ("latency", {"usage_limit": 250, "reset": "MONTHLY", "soft": True}),
        ("sso", {}), ("support", {"static": "chat"}),
        ("regions", {"config": {"allow": ["eu", "us"], "depth": {"n": 1, "x": 1.25}}}))),
    ("Scale", ("1000", "0.00000001"), (
        ("api_calls", {"reset": "MONTHLY"}), ("storage_gb", {"usage_limit": 1000, "reset": "DAILY"}),
        ("compute_s", {"usage_limit": 1_000_000_000, "reset": "NEVER"}),
        ("active_users", {"usage_limit": 1_099_511_627_776, "reset": "WEEKLY", "soft": True}),
        ("credits", {"usage_limit": 100, "reset": "MONTHLY", "mode": "parallel", "bucket": {"usage_limit": 100,
            "grant_measure": "quantity", "grant_quota": "100.5", "grant_duration_unit": "subscription_period"}}),
        ("sso", {}), ("audit_log", {}), ("support", {"static": "phone"}),
        ("regions", {"config": {"allow": ["eu", "us"], "depth": {"n": 2, "x": 1.25}}}))),
    ("Enterprise <custom>", ("2500.12345678",), (
        ("api_calls", {"reset": "ANNUAL"}), ("compute_s", {"reset": "NEVER"}),
        ("balance", {"usage_limit": 0, "reset": "ANNUAL"}),
        ("seats", {"usage_limit": 5000, "reset": "ANNUAL"}), ("load", {"usage_limit": 750, "reset": "MONTHLY"}),
        ("sso", {}), ("audit_log", {}), ("support", {"static": "named"}),
        ("regions", {"config": {"allow": [], "depth": {"n": 3, "x": 0.1}, "note": None}}))),
    ("", (), (
        ("credits", {"usage_limit": 50, "reset": "MONTHLY", "mode": "parallel", "bucket": {"usage_limit": 50,
            "grant_measure": "quantity", "grant_quota": "50.25", "grant_duration_value": 1,
            "grant_duration_unit": "day"}}),
        ("seats", {"usage_limit": 10, "reset": "DAILY"}))),
)  # fmt: skip
"""Name, credits, entitlements; the last one is an add-on."""
