"""Rows against the account: what each row would change, and what keeps a plan from being applied unasked."""
