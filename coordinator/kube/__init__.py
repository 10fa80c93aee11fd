"""How the coordinator talks to the API server: the only package that imports `kubernetes`.

One aiohttp session, shared with kopf, carries everything. Measured, a request costs 0.6 ms of CPU
this way against 1.4-1.8 ms through the client libraries (docs/adr/0002-one-http-session.md).
"""
