"""The LMCacheEngine API: types, defaults, bounds, validation and the generated CRD.

Pure: nothing in this package talks to a cluster, reads a clock or logs.
"""
