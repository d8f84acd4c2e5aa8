"""What people and machines read: messages, progress, summaries, tables, JSON, logs and the plan page.

In: the results of jobs (`pipelines.sync`, `pipelines.import_customers` …) as data. Out: text on stderr, data on stdout,
and files (`log`, `plan_page`).

Promised: stdout holds data only, stderr messages only; nothing here sees the API key.
Never done here: deciding, calling the API, parsing arguments.
"""
