"""The only door to FlexPrice: calls as data, the client, retries, flow control, what answers mean, the ten operations.

In: a `Call`. Out: a `Reply`, or one error of `connector.errors`. Only this folder says httpx. Never done here: paging,
storing. This file imports nothing, so that pure modules can import `connector.api.calls` without the client.
"""
