"""The tables that schema version 3 adds, as that version declared them: the histories.

Never done: changing one of them once the version was released.
"""

from __future__ import annotations

TABLES = (
    """CREATE TABLE IF NOT EXISTS flexsync.customers_versions (id VARCHAR, valid_from TIMESTAMPTZ, valid_basis
    VARCHAR, ended BOOLEAN, content_hash VARCHAR, external_id VARCHAR, name VARCHAR, email VARCHAR, contact
    VARCHAR, address_line1 VARCHAR, address_line2 VARCHAR, address_city VARCHAR, address_state VARCHAR,
    address_postal_code VARCHAR, address_country VARCHAR, timezone VARCHAR, metadata MAP(VARCHAR, VARCHAR),
    environment_id VARCHAR, tenant_id VARCHAR, status VARCHAR, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ,
    created_by VARCHAR, updated_by VARCHAR, extra VARCHAR, run_id VARCHAR, observed_at TIMESTAMPTZ)""",
    """CREATE TABLE IF NOT EXISTS flexsync.subscriptions_versions (id VARCHAR, valid_from TIMESTAMPTZ, valid_basis
    VARCHAR, ended BOOLEAN, content_hash VARCHAR, lookup_key VARCHAR, customer_id VARCHAR, plan_id VARCHAR,
    plan_name VARCHAR, plan_lookup_key VARCHAR, subscription_status VARCHAR, currency VARCHAR, billing_anchor
    TIMESTAMPTZ, billing_cycle VARCHAR, start_date TIMESTAMPTZ, end_date TIMESTAMPTZ, current_period_start
    TIMESTAMPTZ, current_period_end TIMESTAMPTZ, cancelled_at TIMESTAMPTZ, cancel_at TIMESTAMPTZ,
    cancel_at_period_end BOOLEAN, trial_start TIMESTAMPTZ, trial_end TIMESTAMPTZ, billing_cadence VARCHAR,
    billing_period VARCHAR, billing_period_count BIGINT, version BIGINT, metadata MAP(VARCHAR, VARCHAR),
    pause_status VARCHAR, active_pause_id VARCHAR, commitment_amount DECIMAL(38, 18), commitment_duration VARCHAR,
    overage_factor DECIMAL(38, 18), payment_behavior VARCHAR, collection_method VARCHAR, gateway_payment_method_id
    VARCHAR, timezone VARCHAR, proration_behavior VARCHAR, enable_true_up BOOLEAN, invoicing_customer_id VARCHAR,
    parent_subscription_id VARCHAR, payment_terms VARCHAR, subscription_type VARCHAR, auto_invoice_threshold
    DECIMAL(38, 18), synced_price_sequence BIGINT, environment_id VARCHAR, tenant_id VARCHAR, status VARCHAR,
    created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, created_by VARCHAR, updated_by VARCHAR, extra VARCHAR, run_id
    VARCHAR, observed_at TIMESTAMPTZ)""",
    """CREATE TABLE IF NOT EXISTS flexsync.entitlements_versions (customer_id VARCHAR, feature_id VARCHAR, valid_from
    TIMESTAMPTZ, valid_basis VARCHAR, ended BOOLEAN, content_hash VARCHAR, is_enabled BOOLEAN, usage_limit BIGINT,
    is_soft_limit BOOLEAN, usage_reset_period VARCHAR, static_values VARCHAR[], config_values VARCHAR,
    aggregation_mode VARCHAR, extra VARCHAR, run_id VARCHAR, observed_at TIMESTAMPTZ)""",
    """CREATE TABLE IF NOT EXISTS flexsync.usage_figures (customer_id VARCHAR, subscription_id VARCHAR, feature_id
    VARCHAR, counted_subscription_id VARCHAR, current_period_start TIMESTAMPTZ, next_usage_reset_at TIMESTAMPTZ,
    current_usage DECIMAL(38, 18), total_limit BIGINT, usage_percent DECIMAL(38, 18), additive BOOLEAN, restated
    BOOLEAN, unproven BOOLEAN, ended BOOLEAN, previous_confirmed_run VARCHAR, previous_confirmed_at TIMESTAMPTZ,
    run_id VARCHAR, observed_at TIMESTAMPTZ)""",
)
