"""What readers open: immutable copies of the store, as a DuckDB file or as a Parquet lake.

In: a store and targets. Out: publications that appear whole or not at all; an open publication that answers SQL; a
store restored from a publication. Never done here: HTTP; changing the store that is published.

- `contents` says what a publication holds, `targets` where it goes.
- `publish` writes the DuckDB file, and with `lake` the Parquet files; `increments` are the files of a lake's histories,
  `blanking` writes them anew without whom the store forgot; `green` keeps the last green file beside a degraded one;
  `reading` opens both kinds; `restore` makes a store; `forgetting` publishes without a customer.
"""
