"""The command `flexsync`: one module for each group of commands.

In: the arguments, environment and standard input of a process. Out: a call of one job in `pipelines`, its result
printed through `pipelines.report`, and an exit code.

`main` holds the entry point and the list of commands, `options` what several commands share, `exit_codes` the codes,
`help` what help pages share, `ending` how an error ends a command.
The commands: `init` · `completion` · `sync` · `state` (status, state) · `checks` (verify, doctor) · `ask` (sql) ·
`sandbox` (sandbox, demo) · `customers` (the ten operations; `bodies` builds their requests) · `imports` (import).

Promised: `--help` imports nothing heavy, so a command imports its job when it runs.
Never done here: the work itself, or formatting. Only this folder imports click.
"""
