"""The server: access, dispatch and delivery.

In: a request, in process (`dispatch.Server.answer`) or on a socket (`serve`). Out: status, headers and bytes, or a
connection that is cut. Never done here: what an answer says (`routes`, `data`) or what goes wrong with it (`faults`).
"""
