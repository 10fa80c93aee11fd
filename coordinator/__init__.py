"""The operator coordinator: watches LMCacheEngine objects and makes them true."""
