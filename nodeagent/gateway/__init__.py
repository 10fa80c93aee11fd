"""The gateway: what a cache server's pod shows to the outside, and nothing more.

It runs beside the server, unprivileged, and imports nothing but the standard library and the
agent's logging.
"""
