"""What people and machines read: messages, progress, summaries, tables, JSON, logs and the plan page.

In: the results of jobs (`pipelines.sync`, `pipelines.import_customers` …) as data. Out: data and reports on stdout,
progress and warnings on stderr, and files (`log`, `plan_page`).

Promised: a stream holds nothing of the other one; nothing here sees the API key.
Never done here: deciding, calling the API, parsing arguments.
"""
