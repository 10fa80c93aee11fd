"""The node agent: verifies on one node that the cache can really work there."""
