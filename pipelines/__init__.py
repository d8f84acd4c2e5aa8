"""The jobs, in the order of their use: demo, doctor, sync, verify, export_customers, import_customers, operations.

In: settings, and what one run was asked to do. Out: a report as data; printing it is `report`'s work, and exit codes are
`cli`'s. Never done here: SQL, HTTP, decoding: a job calls the folders of `connector` in their order.

Public for programs: `import_customers.plan` and `apply`, `confirm.Confirmed`, `sync`, `jobs`.
"""
