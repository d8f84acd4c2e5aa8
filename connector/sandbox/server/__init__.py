"""The server: who may call, which route a call takes, and how its answer is delivered.

In: a request, in process (`dispatch.Server.answer`) or on a socket (`serve`). Out: status, headers and bytes, or a
connection that is cut. Never here: what an answer says (`routes`, `data`) or what goes wrong with it (`faults`).
"""
