"""The command `flexsync`: one module a group; options, streams, exit codes. Only this folder knows click."""
