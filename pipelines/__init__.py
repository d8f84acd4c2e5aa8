"""The jobs, in the order of their use: demo, doctor, sync, verify, export_customers, import_customers, operations.

In: settings, and what one run was asked to do. Out: a report as data; `report` prints it, `cli` makes an exit code of
it. Never done here: SQL, HTTP, decoding: a job calls the folders of `connector` in their order.

Public for programs: `import_customers.plan` and `apply`, `confirm.Confirmed`, `sync`, `jobs`.
"""
