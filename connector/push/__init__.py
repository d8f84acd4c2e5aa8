"""Customers from a file into FlexPrice: file, then plan, then apply; what the account holds is in `account`.

In: a CSV file, a DataFrame or an Arrow table. Out: a plan file, a journal, results. Never done here: a write that no
plan shows; I/O with FlexPrice other than through the `send` that is handed in.
"""
