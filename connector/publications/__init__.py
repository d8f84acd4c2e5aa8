"""What readers open: immutable copies of the store as a DuckDB file or a Parquet lake.

In: a store and targets. Out: publications that appear whole or not at all, and a store restored from one. Never done
here: HTTP; changing the store that is published.
"""
